// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// busyFaults are the values of the setting busy_fault: "mix" answers with both faults in turn.
var busyFaults = []string{"mix", "InvalidState", "TaskInProgress"}

// importManifests are the values of the setting import_manifest.
var importManifests = []string{"full", "absent", "digest_only", "populated_size"}

func (s settings) checkBusy() error {
	if s.UnlockDelayMS < 0 || s.SettleDelayMS < 0 {
		return fmt.Errorf("unlock_delay_ms and settle_delay_ms must not be negative")
	}
	if !slices.Contains(busyFaults, s.BusyFault) {
		return fmt.Errorf("busy_fault must be one of %v", busyFaults)
	}
	if !slices.Contains(importManifests, s.ImportManifest) {
		return fmt.Errorf("import_manifest must be one of %v", importManifests)
	}
	return nil
}

// settlingMethods keep the VM busy for a moment after they were called.
var settlingMethods = map[string]bool{"ReconfigVM_Task": true, "PowerOnVM_Task": true, "CreateSnapshot_Task": true}

// disabledByPower are methods that a power state rules out: disabledMethod is never empty. MarkAsVirtualMachine is not
// among those of VMs that are off, because templates are off, too.
var disabledByPower = map[types.VirtualMachinePowerState][]string{
	types.VirtualMachinePowerStatePoweredOff: {
		"PowerOffVM_Task", "RebootGuest", "ResetVM_Task", "ShutdownGuest", "StandbyGuest", "SuspendVM_Task",
	},
	types.VirtualMachinePowerStatePoweredOn: {
		"Destroy_Task", "MarkAsTemplate", "MarkAsVirtualMachine", "PowerOnVM_Task", "UnregisterVM", "UpgradeVM_Task",
	},
}

// busyTable knows the VMs that vCenter is still working on although no lease or task shows it.
type busyTable struct {
	mu       sync.Mutex
	busy     map[types.ManagedObjectReference]*busyVM
	refusals int
}

type busyVM struct {
	timer *time.Timer
	task  *longTask // of the lease that has ended, or nil
}

// hold makes a VM busy; a longer time that it is busy already remains.
func (s *Simulator) hold(vm types.ManagedObjectReference, delayMS int, task *longTask) {
	if delayMS <= 0 {
		return
	}
	s.busy.mu.Lock()
	if s.busy.busy == nil {
		s.busy.busy = map[types.ManagedObjectReference]*busyVM{}
	}
	if s.busy.busy[vm] != nil {
		s.busy.mu.Unlock()
		return
	}
	entry := &busyVM{task: task}
	entry.timer = time.AfterFunc(time.Duration(delayMS)*time.Millisecond, func() {
		s.busy.mu.Lock()
		if s.busy.busy[vm] == entry {
			delete(s.busy.busy, vm)
		}
		s.busy.mu.Unlock()
		s.showDisabledMethods(vm)
	})
	s.busy.busy[vm] = entry
	s.busy.mu.Unlock()
	s.showDisabledMethods(vm)
}

// release ends all of it.
func (t *busyTable) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for vm, entry := range t.busy {
		entry.timer.Stop()
		delete(t.busy, vm)
	}
}

func (t *busyTable) holds(vm types.ManagedObjectReference) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.busy[vm] != nil
}

// refuse returns the fault of a call on a busy VM, or nil.
func (s *Simulator) refuse(vm types.ManagedObjectReference) types.BaseMethodFault {
	s.busy.mu.Lock()
	defer s.busy.mu.Unlock()
	entry := s.busy.busy[vm]
	if entry == nil {
		return nil
	}
	s.busy.refusals++
	wanted := s.settings.get().BusyFault
	inProgress := wanted == "TaskInProgress" || wanted == "mix" && s.busy.refusals%2 == 0
	if inProgress && entry.task != nil {
		return &types.TaskInProgress{Task: entry.task.task.Self}
	}
	return new(types.InvalidState)
}

// disabledMethods lists the methods that the VM's power state, a lease or vCenter's own work rules out.
func (s *Simulator) disabledMethods(vm types.ManagedObjectReference, power types.VirtualMachinePowerState) []string {
	disabled := map[string]bool{}
	for _, method := range disabledByPower[power] {
		disabled[method] = true
	}
	if s.leases.holder(vm) != nil || s.busy.holds(vm) {
		maps.Copy(disabled, lockedMethods)
	}
	return slices.Sorted(maps.Keys(disabled))
}

// showDisabledMethods updates the property disabledMethod of a VM.
func (s *Simulator) showDisabledMethods(ref types.ManagedObjectReference) {
	vm := s.vm(ref)
	if vm == nil {
		return
	}
	ctx := s.newContext()
	ctx.WithLock(vm, func() { s.updateDisabledMethods(ctx, vm, vm.Runtime.PowerState) })
}

// updateDisabledMethods does the same for a VM that the caller has locked.
func (s *Simulator) updateDisabledMethods(ctx *simulator.Context, vm *simulator.VirtualMachine, power types.VirtualMachinePowerState) {
	ctx.Update(vm, []types.PropertyChange{{Name: "disabledMethod", Val: s.disabledMethods(vm.Self, power)}})
}

// importManifest changes the manifest of an import to the form that the setting names.
func (s *Simulator) importManifest(entries []types.HttpNfcLeaseManifestEntry) []types.HttpNfcLeaseManifestEntry {
	form := s.settings.get().ImportManifest
	if form == "absent" {
		return nil
	}
	for i := range entries {
		switch form {
		case "digest_only":
			entries[i].Size, entries[i].Checksum, entries[i].ChecksumType = 0, "", ""
		case "populated_size":
			entries[i].Size = entries[i].PopulatedSize
		}
	}
	return entries
}
