// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"regexp"
)

// vcsim leaves the text of faults empty, or writes the name of a Go type there. These are the
// sentences of vCenter.
var faultMessages = map[string]string{
	"NotAuthenticated":      "The session is not authenticated.",
	"InvalidLogin":          "Cannot complete login due to an incorrect user name or password.",
	"ManagedObjectNotFound": "The object has already been deleted or has not been completely created.",
	"InvalidState":          "The operation is not allowed in the current state.",
	"InvalidPowerState":     "The attempted operation cannot be performed in the current state.",
	"TaskInProgress":        "Another task is already in progress.",
	"DuplicateName":         "The name already exists.",
	"InvalidArgument":       "A specified parameter was not correct.",
	"InvalidDatastorePath":  "Invalid datastore path.",
	"InvalidDeviceBacking":  "Incompatible device backing specified for device.",
	"InvalidDeviceSpec":     "Invalid configuration for device.",
	"InvalidVmConfig":       "Invalid virtual machine configuration.",
	"FileAlreadyExists":     "The specified key, name, or identifier already exists.",
	"FileNotFound":          "File was not found.",
	"FileFault":             "Error accessing file.",
	"NotFound":              "The object or item referred to could not be found.",
	"NotSupported":          "The operation is not supported on the object.",
	"MethodNotFound":        "The requested method is not implemented.",
	"ToolsUnavailable":      "Cannot complete operation because VMware Tools is not running in this virtual machine.",
	"RequestCanceled":       "The task was canceled by a user.",
}

var (
	emptyString = []byte("<faultstring></faultstring>")
	goType      = regexp.MustCompile(`<localizedMessage>\*types\.(\w+)</localizedMessage>`)
)

func faultMessage(kind string) string {
	if message, ok := faultMessages[kind]; ok {
		return message
	}
	return "The operation failed: " + kind + "."
}
