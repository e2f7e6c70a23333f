// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const nvramSize = 8684 // bytes of the firmware's variables that an export carries

// exportVM answers ExportVm.
func (s *Simulator) exportVM(ctx *simulator.Context, vm *simulator.VirtualMachine) soap.HasFault {
	body := new(methods.ExportVmBody)
	var power types.VirtualMachinePowerState
	var template bool
	ctx.WithLock(vm, func() { power, template = vm.Runtime.PowerState, vm.Config.Template })
	if power != types.VirtualMachinePowerStatePoweredOff {
		body.Fault_ = simulator.Fault("The attempted operation cannot be performed in the current state.",
			&types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOff, ExistingState: power})
		return body
	}
	if template {
		body.Fault_ = simulator.Fault("A template cannot be exported.", new(types.NotSupported))
		return body
	}
	disks := s.disks(vm, s.devicesOf(ctx, vm))
	lease, fault := s.export(ctx, vm, disks, func(id diskID) *blob { return s.store.disk(id) })
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.ExportVmResponse{Returnval: lease.Self}
	return body
}

// exportSnapshot answers ExportSnapshot; the VM may be running.
func (s *Simulator) exportSnapshot(ctx *simulator.Context, snapshot *simulator.VirtualMachineSnapshot) soap.HasFault {
	body := new(methods.ExportSnapshotBody)
	vm := s.vm(snapshot.Vm)
	if vm == nil {
		body.Fault_ = simulator.Fault("The virtual machine is gone.", &types.ManagedObjectNotFound{Obj: snapshot.Vm})
		return body
	}
	kept := s.store.snapshot(snapshot.Self)
	disks := s.disks(vm, snapshot.Config.Hardware.Device)
	lease, fault := s.export(ctx, vm, disks, func(id diskID) *blob {
		stored := kept[id]
		if stored != nil {
			s.store.pin(stored)
		}
		return stored
	})
	if fault != nil {
		body.Fault_ = fault
		return body
	}
	body.Res = &types.ExportSnapshotResponse{Returnval: lease.Self}
	return body
}

// export opens a lease on disks of a VM, which is locked until the lease ends.
func (s *Simulator) export(ctx *simulator.Context, vm *simulator.VirtualMachine, disks []vmDisk,
	content func(diskID) *blob) (*Lease, *soap.Fault) {
	lease := s.newLease(ctx, false, s.startTask(vm, "ExportVmLRO"))
	lease.mu.Lock()
	lease.vm = vm.Self
	lease.mu.Unlock()
	if !s.leases.lock(vm.Self, lease) {
		fault := new(types.TaskInProgress)
		lease.fail(ctx, fault, "Another task is already in progress.")
		return nil, simulator.Fault("Another task is already in progress.", fault)
	}
	s.showDisabledMethods(vm.Self)
	for i := range disks {
		stored := content(disks[i].id)
		if stored == nil {
			var err error
			if stored, err = s.store.empty(disks[i].capacity); err != nil {
				fault := &types.SystemError{Reason: err.Error()}
				lease.fail(ctx, fault, err.Error())
				return nil, simulator.Fault(err.Error(), fault)
			}
		}
		name := fmt.Sprintf("disk-%d.vmdk", i)
		lease.add(vm, &disks[i], name, nil, stored)
	}
	if vm.Config.Firmware == string(types.GuestOsDescriptorFirmwareTypeEfi) {
		name := strings.TrimSuffix(path.Base(vm.Config.Files.VmPathName), ".vmx") + ".nvram"
		lease.add(vm, nil, name, bytes.Repeat([]byte("nvram\x00"), nvramSize)[:nvramSize], nil)
	}
	name := vm.Name
	go func() {
		time.Sleep(time.Duration(s.settings.get().LeaseDelayMS) * time.Millisecond)
		if hit := s.rules.match("LEASE", name, vm.Self.Value, "export"); hit != nil {
			time.Sleep(time.Duration(hit.DelayMS) * time.Millisecond)
			if hit.Fault != "" {
				fault, _ := hit.fault()
				lease.fail(s.newContext(), fault, hit.message())
				return
			}
		}
		lease.ready(vm.Self)
	}()
	return lease, nil
}
