// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command simulator is a vCenter with ESXi file transfer for tests: govmomi's vcsim, which
// keeps what is uploaded, serves it on export, runs guests, and fails where a test requests it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	var exitStdin bool
	var endAfter time.Duration
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of vCenter")
	flag.StringVar(&o.nfcListen, "nfc-listen", "", "address of the hosts' file transfer, with a certificate of its own (default: vCenter's)")
	flag.StringVar(&o.username, "username", "", "user who may log in (required)")
	flag.StringVar(&o.password, "password", os.Getenv("STRATA_SIMULATOR_PASSWORD"), "the user's password (required; default $STRATA_SIMULATOR_PASSWORD)")
	flag.BoolVar(&o.tls, "tls", true, "speak TLS")
	flag.StringVar(&o.tlsCert, "tlscert", "", "certificate (default: a self-signed one for 127.0.0.1 and localhost)")
	flag.StringVar(&o.tlsKey, "tlskey", "", "key of the certificate")
	flag.StringVar(&o.apiVersion, "api-version", "8.0.3.0", "version of the vSphere API")
	flag.StringVar(&o.state, "state", "", "folder in which to make the folder of uploaded disks (default: that of temporary files)")
	flag.StringVar(&o.template, "template", "", "name of a VM template to make in every datacenter")
	flag.StringVar(&o.hardware, "template-hardware", "", "its hardware version (default: vmx-19, or the highest of the hosts)")
	flag.StringVar(&o.guest, "guest", "", "shell command that is the guest of every VM that is powered on")
	flag.StringVar(&o.bootCheck, "boot-check", "", "shell command that prints the disk controllers from which the Windows installation on a VMDK can start")
	flag.DurationVar(&o.leaseTimeout, "lease-timeout", 300*time.Second, "time without progress after which a lease ends")
	flag.IntVar(&o.datacenters, "dc", 1, "datacenters")
	flag.IntVar(&o.clusters, "cluster", 1, "clusters in a datacenter")
	flag.IntVar(&o.hosts, "host", 3, "hosts in a cluster")
	flag.IntVar(&o.standalone, "standalone-host", 1, "hosts without a cluster in a datacenter")
	flag.IntVar(&o.datastores, "ds", 1, "datastores in a datacenter")
	flag.IntVar(&o.vms, "vm", 0, "virtual machines in a resource pool")
	flag.IntVar(&o.pools, "pool", 0, "resource pools in a cluster")
	flag.IntVar(&o.folders, "folder", 0, "folders around everything")
	flag.IntVar(&o.groups, "pg", 1, "distributed port groups in a datacenter")
	flag.BoolVar(&exitStdin, "idle-exit-stdin", false, "end when standard input ends")
	flag.DurationVar(&endAfter, "end-after", 0, "end after this time at the latest (default: never)")
	flag.Parse()
	log.SetOutput(os.Stderr)

	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	sim, err := newSimulator(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(2)
	}
	defer sim.Close()
	if err := json.NewEncoder(os.Stdout).Encode(sim.info()); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		return
	}
	if exitStdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			signals <- syscall.SIGTERM
		}()
	}
	var end <-chan time.Time
	if endAfter > 0 {
		end = time.After(endAfter)
	}
	select {
	case <-signals:
	case <-end:
	}
}
