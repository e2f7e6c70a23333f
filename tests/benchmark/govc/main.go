// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command govc is govc with import.ovf and host.info as its only commands. The Go module proxy has no govc of this version, but the packages
// that govc is built from.
package main

import (
	"os"

	"github.com/vmware/govmomi/cli"
	_ "github.com/vmware/govmomi/cli/host"
	_ "github.com/vmware/govmomi/cli/importx"
)

func main() {
	os.Exit(cli.Run(os.Args[1:]))
}
