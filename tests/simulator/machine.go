// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"reflect"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// destroy removes a VM and its disks; an unknown VM is not an error.
func (s *Simulator) destroy(ref types.ManagedObjectReference) {
	vm := s.vm(ref)
	if vm == nil {
		return
	}
	ctx := s.newContext()
	ids := s.diskIDs(ctx, vm)
	if _, fault := s.wait(vm.DestroyTask(ctx, &types.Destroy_Task{This: ref})); fault == nil {
		s.store.drop(ids)
	}
}

// DestroyTask destroys the VM and the content of its disks.
func (o *vmOverride) DestroyTask(ctx *simulator.Context, req *types.Destroy_Task) soap.HasFault {
	vm := o.vm
	req.This = vm.Self
	task := simulator.CreateTask(vm, "destroyTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		ids := o.sim.diskIDs(ctx, vm)
		_, fault := o.sim.wait(vm.DestroyTask(ctx, req))
		if fault == nil {
			o.sim.store.drop(ids)
		}
		return nil, fault
	})
	return &methods.Destroy_TaskBody{Res: &types.Destroy_TaskResponse{Returnval: task.Run(ctx)}}
}

// ReconfigVMTask reconfigures the VM; the contents of removed disks go with their files.
func (o *vmOverride) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	req.This = o.vm.Self
	removes := false
	for _, change := range req.Spec.DeviceChange {
		spec := change.GetVirtualDeviceConfigSpec()
		removes = removes || spec.Operation == types.VirtualDeviceConfigSpecOperationRemove
	}
	var res soap.HasFault
	ctx.WithLock(o.vm, func() {
		if !o.vm.Config.Template {
			reconfigured(o.vm.Config, &req.Spec)
			o.sim.dropNewer(reflect.ValueOf(o.vm.Config).Elem())
		}
		res = o.vm.ReconfigVMTask(ctx, req)
	})
	if removes && res.Fault() == nil {
		go func() {
			_, _ = o.sim.wait(res)
			o.sim.sweep()
		}()
	}
	return res
}

// CloneVMTask clones the VM with the content of its disks and the settings that real clones inherit.
func (o *vmOverride) CloneVMTask(ctx *simulator.Context, req *types.CloneVM_Task) soap.HasFault {
	body := new(methods.CloneVM_TaskBody)
	sim, source := o.sim, o.vm
	req.This = source.Self
	sim.sweep()
	var content map[diskID]*blob
	devices := sim.devicesOf(ctx, source)
	if ref := req.Spec.Snapshot; ref != nil {
		snapshot, ok := sim.registry().Get(*ref).(*simulator.VirtualMachineSnapshot)
		if !ok || snapshot.Vm != source.Self {
			body.Fault_ = simulator.Fault("There is no such snapshot.", &types.InvalidArgument{InvalidProperty: "spec.snapshot"})
			return body
		}
		content, devices = sim.store.snapshot(*ref), snapshot.Config.Hardware.Device
	}
	disks := sim.disks(source, devices)
	if content == nil {
		var ids []diskID
		for _, disk := range disks {
			ids = append(ids, disk.id)
		}
		content = sim.store.contents(ids)
	}
	for _, stored := range content {
		sim.store.pin(stored)
	}
	unpin := func() {
		for _, stored := range content {
			sim.store.unpin(stored)
		}
	}
	powerOn, template := req.Spec.PowerOn, req.Spec.Template
	req.Spec.PowerOn, req.Spec.Template = false, false

	task := simulator.CreateTask(source, "cloneVMTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		defer unpin()
		result, fault := sim.wait(source.CloneVMTask(ctx, req))
		if fault != nil {
			return nil, fault
		}
		clone := sim.vm(result.(types.ManagedObjectReference))
		copies := sim.disks(clone, sim.devicesOf(ctx, clone))
		for i, disk := range disks {
			if stored := content[disk.id]; stored != nil && i < len(copies) {
				sim.store.put(copies[i].id, stored)
			}
		}
		if fault = sim.inherit(ctx, source, clone, req.Spec.Config); fault != nil {
			return nil, fault
		}
		sim.showContent(ctx, clone)
		if template {
			ctx.WithLock(clone, func() { clone.MarkAsTemplate(&types.MarkAsTemplate{This: clone.Self}) })
		} else if powerOn {
			if _, fault = sim.wait(clone.PowerOnVMTask(ctx, &types.PowerOnVM_Task{This: clone.Self})); fault != nil {
				return nil, fault
			}
		}
		return result, nil
	})
	body.Res = &types.CloneVM_TaskResponse{Returnval: task.Run(ctx)}
	return body
}

// inherit sets the settings of the source on a clone, then those of the clone's spec.
func (s *Simulator) inherit(ctx *simulator.Context, source, clone *simulator.VirtualMachine, wanted *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	spec := types.VirtualMachineConfigSpec{
		Annotation:  source.Config.Annotation,
		Firmware:    source.Config.Firmware,
		BootOptions: source.Config.BootOptions,
	}
	asked := map[string]bool{"govcsim": true}
	if wanted != nil {
		for _, option := range wanted.ExtraConfig {
			asked[option.GetOptionValue().Key] = true
		}
		if wanted.Annotation != "" {
			spec.Annotation = wanted.Annotation
		}
		if wanted.Firmware != "" {
			spec.Firmware = wanted.Firmware
		}
		if wanted.BootOptions != nil {
			spec.BootOptions = wanted.BootOptions
		}
		spec.Tools, spec.Flags, spec.ManagedBy = wanted.Tools, wanted.Flags, wanted.ManagedBy
		spec.VAppConfig = wanted.VAppConfig
	}
	for _, option := range source.Config.ExtraConfig {
		if value := option.GetOptionValue(); !asked[value.Key] {
			spec.ExtraConfig = append(spec.ExtraConfig, &types.OptionValue{Key: value.Key, Value: value.Value})
		}
	}
	_, fault := s.wait(clone.ReconfigVMTask(ctx, &types.ReconfigVM_Task{This: clone.Self, Spec: spec}))
	return fault
}

// RevertToSnapshotTask goes back to the snapshot.
func (o *snapshotOverride) RevertToSnapshotTask(ctx *simulator.Context, _ *types.RevertToSnapshot_Task) soap.HasFault {
	return &methods.RevertToSnapshot_TaskBody{Res: &types.RevertToSnapshot_TaskResponse{
		Returnval: o.sim.revert(ctx, o.snapshot, "revertToSnapshotTask"),
	}}
}

// RevertToCurrentSnapshotTask goes back to the newest snapshot.
func (o *vmOverride) RevertToCurrentSnapshotTask(ctx *simulator.Context, _ *types.RevertToCurrentSnapshot_Task) soap.HasFault {
	body := new(methods.RevertToCurrentSnapshot_TaskBody)
	var current *types.ManagedObjectReference
	ctx.WithLock(o.vm, func() {
		if o.vm.Snapshot != nil {
			current = o.vm.Snapshot.CurrentSnapshot
		}
	})
	var snapshot *simulator.VirtualMachineSnapshot
	if current != nil {
		snapshot, _ = o.sim.registry().Get(*current).(*simulator.VirtualMachineSnapshot)
	}
	if snapshot == nil {
		body.Fault_ = simulator.Fault("The virtual machine has no snapshot.", new(types.NotFound))
		return body
	}
	body.Res = &types.RevertToCurrentSnapshot_TaskResponse{Returnval: o.sim.revert(ctx, snapshot, "revertToCurrentSnapshotTask")}
	return body
}

// revert restores settings, devices and disks of a snapshot; the VM is powered off then.
func (s *Simulator) revert(ctx *simulator.Context, snapshot *simulator.VirtualMachineSnapshot, name string) types.ManagedObjectReference {
	vm := s.vm(snapshot.Vm)
	return simulator.CreateTask(vm, name, func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		s.guests.kill(vm.Self)
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
			if _, fault := s.wait(vm.PowerOffVMTask(ctx, &types.PowerOffVM_Task{This: vm.Self})); fault != nil {
				return nil, fault
			}
		}
		if _, fault := s.wait(snapshot.RevertToSnapshotTask(ctx, &types.RevertToSnapshot_Task{This: snapshot.Self})); fault != nil {
			return nil, fault
		}
		before := s.diskIDs(ctx, vm)
		config, err := copyConfig(&snapshot.Config)
		if err != nil {
			return nil, &types.SystemError{Reason: err.Error()}
		}
		ctx.WithLock(vm, func() {
			config.Modified = time.Now()
			ctx.Update(vm, []types.PropertyChange{
				{Name: "config", Val: *config},
				{Name: "summary.config.numCpu", Val: config.Hardware.NumCPU},
				{Name: "summary.config.memorySizeMB", Val: config.Hardware.MemoryMB},
			})
		})
		kept := s.store.snapshot(snapshot.Self)
		s.store.change(func() {
			for _, id := range before {
				delete(s.store.disks, id)
			}
			for id, stored := range kept {
				s.store.disks[id] = stored
			}
		})
		s.showContent(ctx, vm)
		return nil, nil
	}).Run(ctx)
}

// keep records the content of the disks of a VM at the time of a snapshot.
func (s *Simulator) keep(snapshot *simulator.VirtualMachineSnapshot) {
	vm := s.vm(snapshot.Vm)
	if vm == nil {
		return
	}
	var ids []diskID
	for _, disk := range s.disks(vm, snapshot.Config.Hardware.Device) {
		ids = append(ids, disk.id)
	}
	s.store.change(func() {
		kept := map[diskID]*blob{}
		for _, id := range ids {
			if stored := s.store.disks[id]; stored != nil {
				kept[id] = stored
			}
		}
		s.store.snapshots[snapshot.Self] = kept
	})
}

// taskNames are the methods behind vcsim's names of tasks: clients look a task's name up as a method.
var taskNames = map[string]string{
	"PowerOn": "PowerOnVM_Task", "PowerOff": "PowerOffVM_Task", "Reset": "ResetVM_Task", "Suspend": "SuspendVM_Task",
	"ReconfigVm": "ReconfigVM_Task", "CreateSnapshotEx": "CreateSnapshotEx_Task", "RemoveSnapshot": "RemoveSnapshot_Task",
	"RevertToSnapshot": "RevertToSnapshot_Task", "RevertSnapshot": "RevertToCurrentSnapshot_Task",
	"RemoveAllSnapshots": "RemoveAllSnapshots_Task", "Destroy": "Destroy_Task", "CloneVm": "CloneVM_Task",
	"RelocateVm": "RelocateVM_Task", "CreateVm": "CreateVM_Task", "CreateVMTask": "CreateVM_Task", "Rename": "Rename_Task",
	"CreateSnapshot": "CreateSnapshot_Task", "ImportVAppLRO": "ImportVApp", "ExportVmLRO": "ExportVm", "UpgradeVm": "UpgradeVM_Task",
	"SearchDatastore": "SearchDatastore_Task", "DeleteDatastoreFile": "DeleteDatastoreFile_Task",
	"MoveDatastoreFile": "MoveDatastoreFile_Task", "CopyDatastoreFile": "CopyDatastoreFile_Task",
}

// observer is called at every change of vcsim's objects, while they are locked.
type observer struct {
	sim *Simulator
}

func (*observer) Reference() types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "Observer", Value: "Observer"}
}

// PutObject implements simulator.RegisterObject.
func (o *observer) PutObject(_ *simulator.Context, object mo.Reference) {
	switch created := object.(type) {
	case *simulator.VirtualMachineSnapshot:
		o.sim.keep(created)
	case *simulator.Task:
		if name, ok := taskNames[created.Info.Name]; ok {
			created.Info.Name = name
		}
		if name := o.sim.entityName(*created.Info.Entity); name != "" {
			created.Info.EntityName = name
		}
	case *simulator.VirtualMachine:
		// vcsim leaves these empty; that is not a value of the enumeration, and pyVmomi cannot read it.
		for _, info := range []*types.VirtualMachineRuntimeInfo{&created.Runtime, &created.Summary.Runtime} {
			info.FaultToleranceState = types.VirtualMachineFaultToleranceStateNotConfigured
			info.RecordReplayState = types.VirtualMachineRecordReplayStateInactive
		}
		created.DisabledMethod = o.sim.disabledMethods(created.Self, created.Runtime.PowerState)
	}
}

// UpdateObject implements simulator.RegisterObject.
func (o *observer) UpdateObject(ctx *simulator.Context, object mo.Reference, changes []types.PropertyChange) {
	if object.Reference().Type != "VirtualMachine" {
		return
	}
	for _, change := range changes {
		if change.Name == "runtime.powerState" {
			var power types.VirtualMachinePowerState
			switch state := change.Val.(type) {
			case types.VirtualMachinePowerState:
				power = state
			case string:
				power = types.VirtualMachinePowerState(state)
			default:
				continue
			}
			if vm, ok := object.(*simulator.VirtualMachine); ok {
				o.sim.updateDisabledMethods(ctx, vm, power)
			}
			o.sim.guests.power(object.Reference(), power)
		}
	}
}

// RemoveObject implements simulator.RegisterObject.
func (o *observer) RemoveObject(_ *simulator.Context, ref types.ManagedObjectReference) {
	switch ref.Type {
	case "VirtualMachineSnapshot":
		o.sim.store.change(func() { delete(o.sim.store.snapshots, ref) })
	case "VirtualMachine":
		o.sim.guests.power(ref, types.VirtualMachinePowerStatePoweredOff)
		o.sim.store.change(func() {
			for snapshot := range o.sim.store.snapshots {
				if known, ok := o.sim.registry().Get(snapshot).(*simulator.VirtualMachineSnapshot); !ok || known.Vm == ref {
					delete(o.sim.store.snapshots, snapshot)
				}
			}
		})
	}
}
