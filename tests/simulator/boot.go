// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// noWindows is the exit status of the boot check for a disk without a Windows installation.
const noWindows = 3

// bootTable knows the disk controllers from which the Windows installations on stored disks can start.
type bootTable struct {
	mu    sync.Mutex
	found map[string]bootDisk // by SHA-1 of the stored disk
}

// bootDisk is a stored disk: whether it has Windows, and the controllers from which that starts.
type bootDisk struct {
	windows     bool
	controllers []string
}

// cannotBoot returns why Windows on the first disk of a VM cannot start, empty if it can or if the disk has no Windows.
func (s *Simulator) cannotBoot(vm *simulator.VirtualMachine) (string, error) {
	devices := s.devicesOf(s.newContext(), vm)
	disks := s.disks(vm, devices)
	if s.options.bootCheck == "" || len(disks) == 0 {
		return "", nil
	}
	stored := s.store.disk(disks[0].id)
	if stored == nil {
		return "", nil
	}
	defer s.store.unpin(stored)
	boot, err := s.boot.check(s.options.bootCheck, stored)
	if err != nil || !boot.windows {
		return "", err
	}
	controller := diskController(devices, disks[0].device.ControllerKey)
	if slices.Contains(boot.controllers, controller) {
		return "", nil
	}
	return fmt.Sprintf("INACCESSIBLE_BOOT_DEVICE: the disk is on %s, Windows has boot drivers for: %s", controller, strings.Join(boot.controllers, ", ")), nil
}

// check runs the boot check once for each content of a disk.
func (t *bootTable) check(command string, stored *blob) (bootDisk, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.found[stored.SHA1]; ok {
		return known, nil
	}
	output, err := exec.Command("/bin/sh", "-c", command+` "$1"`, "boot", stored.Path).Output()
	var status *exec.ExitError
	if err != nil && (!errors.As(err, &status) || status.ExitCode() != noWindows) {
		return bootDisk{}, fmt.Errorf("the boot check: %w", err)
	}
	boot := bootDisk{windows: err == nil, controllers: strings.Fields(string(output))}
	if t.found == nil {
		t.found = map[string]bootDisk{}
	}
	t.found[stored.SHA1] = boot
	return boot, nil
}

// diskController returns the collection's name of the controller with a key.
func diskController(devices []types.BaseVirtualDevice, key int32) string {
	for _, device := range devices {
		if device.GetVirtualDevice().Key != key {
			continue
		}
		switch device.(type) {
		case *types.ParaVirtualSCSIController:
			return "pvscsi"
		case *types.VirtualLsiLogicSASController:
			return "lsi_sas"
		case *types.VirtualLsiLogicController:
			return "lsi_logic"
		case *types.VirtualBusLogicController:
			return "bus_logic"
		case *types.VirtualNVMEController:
			return "nvme"
		case *types.VirtualAHCIController:
			return "ahci"
		}
		return fmt.Sprintf("%T", device)
	}
	return "no controller"
}
