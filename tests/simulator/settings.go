// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"sync"
	"time"
)

// settings can be changed while the simulator runs.
type settings struct {
	LeaseTimeout  float64  `json:"lease_timeout"`  // seconds without progress, for leases opened from now on
	LeaseDelayMS  int      `json:"lease_delay_ms"` // how long a lease stays initializing
	StarHost      bool     `json:"star_host"`      // lease URLs name the host "*"
	StarPort      bool     `json:"star_no_port"`   // and leave the port out
	Thumbprint    string   `json:"thumbprint"`     // sent in lease URLs instead of the real thumbprint
	ChunkedExport bool     `json:"chunked_export"` // downloads come without Content-Length
	CutUpload     string   `json:"cut_upload"`     // "error": a broken upload ends the lease; "keep": it may be sent again
	DropSettings  []string `json:"drop_settings"`  // settings that an import ignores without a word
	SessionLeases string   `json:"session_leases"` // "keep": a lease outlives its session; "abort": it ends with it
	// "omit": lists of references leave out what the user may not see; "show": they name it
	HiddenReferences string `json:"hidden_references"`

	FullHosts        []string            `json:"full_hosts"`        // names of hosts without memory for another VM
	DRSOverride      string              `json:"drs_override"`      // "apply" or "ignore" the automation level that a client asks for
	PolicyDatastores map[string][]string `json:"policy_datastores"` // names of the datastores that a storage policy allows; all if absent

	UnlockDelayMS  int    `json:"unlock_delay_ms"` // how long a VM stays busy after HttpNfcLeaseComplete
	SettleDelayMS  int    `json:"settle_delay_ms"` // the same after ReconfigVM_Task, PowerOnVM_Task and CreateSnapshot_Task
	BusyFault      string `json:"busy_fault"`      // the answer of a busy VM
	ImportManifest string `json:"import_manifest"` // the form of the manifest of an upload
	EscapeHrefs    bool   `json:"escape_hrefs"`    // CreateDescriptor writes paths as URIs
	ContentIDs     bool   `json:"content_ids"`     // disks have a content ID
	ForgetEvents   bool   `json:"forget_events"`   // vCenter has removed its events

	HostVersions map[string]string `json:"host_versions"` // ESXi versions of hosts that are not of vCenter's version, by name
}

func (s settings) check() error {
	if s.LeaseTimeout <= 0 {
		return errors.New("lease_timeout must be more than 0 seconds")
	}
	if s.CutUpload != "error" && s.CutUpload != "keep" {
		return errors.New(`cut_upload must be "error" or "keep"`)
	}
	if s.DRSOverride != "apply" && s.DRSOverride != "ignore" {
		return errors.New(`drs_override must be "apply" or "ignore"`)
	}
	if s.SessionLeases != "keep" && s.SessionLeases != "abort" {
		return errors.New(`session_leases must be "keep" or "abort"`)
	}
	if s.HiddenReferences != "omit" && s.HiddenReferences != "show" {
		return errors.New(`hidden_references must be "omit" or "show"`)
	}
	return s.checkBusy()
}

type settingsBox struct {
	mu    sync.Mutex
	value settings
}

func (b *settingsBox) get() settings {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.value
}

func (b *settingsBox) set(value settings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.value = value
}

func (b *settingsBox) leaseTimeout() time.Duration {
	return time.Duration(b.get().LeaseTimeout * float64(time.Second))
}
