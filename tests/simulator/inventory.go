// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	vimxml "github.com/vmware/govmomi/vim25/xml"
)

// vmDisk is one virtual disk of a VM with the place that NFC names it by.
type vmDisk struct {
	id       diskID
	place    string // "VirtualLsiLogicController0:0"
	capacity int64
	device   *types.VirtualDisk
}

// newContext creates a context for work without a request. Each context has its own locks.
func (s *Simulator) newContext() *simulator.Context {
	ctx := *s.service.Context
	ctx.Context = context.Background()
	return &ctx
}

func (s *Simulator) vm(ref types.ManagedObjectReference) *simulator.VirtualMachine {
	vm, _ := s.registry().Get(ref).(*simulator.VirtualMachine)
	return vm
}

func (s *Simulator) registry() *simulator.Registry { return s.service.Context.Map }

// findVM returns the VM with a name or a managed object ID.
func (s *Simulator) findVM(name string) *simulator.VirtualMachine {
	for _, entity := range s.registry().All("VirtualMachine") {
		vm, ok := entity.(*simulator.VirtualMachine)
		if ok && (vm.Name == name || vm.Self.Value == name) {
			return vm
		}
	}
	return nil
}

// entityName returns the name of an inventory object, or "".
func (s *Simulator) entityName(ref types.ManagedObjectReference) string {
	switch object := s.registry().Get(ref).(type) {
	case *simulator.VirtualMachineSnapshot:
		return s.entityName(object.Vm)
	case mo.Entity:
		return object.Entity().Name
	}
	return ""
}

func (s *Simulator) datacenterOf(entity mo.Entity) *simulator.Datacenter {
	for parent := entity.Entity().Parent; parent != nil; {
		if parent.Type == "Datacenter" {
			datacenter, _ := s.registry().Get(*parent).(*simulator.Datacenter)
			return datacenter
		}
		up, ok := s.registry().Get(*parent).(mo.Entity)
		if !ok {
			return nil
		}
		parent = up.Entity().Parent
	}
	return nil
}

// disks lists the virtual disks among devices of a VM.
func (s *Simulator) disks(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) []vmDisk {
	var datacenter types.ManagedObjectReference
	if found := s.datacenterOf(vm); found != nil {
		datacenter = found.Self
	}
	var disks []vmDisk
	for _, device := range devices {
		disk, ok := device.(*types.VirtualDisk)
		if !ok {
			continue
		}
		backing, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if !ok {
			continue
		}
		capacity := disk.CapacityInBytes
		if capacity == 0 {
			capacity = disk.CapacityInKB * 1024
		}
		disks = append(disks, vmDisk{
			id:       diskID{datacenter, backing.GetVirtualDeviceFileBackingInfo().FileName},
			place:    place(devices, device),
			capacity: capacity,
			device:   disk,
		})
	}
	return disks
}

// place names a device by its controller's type and bus number and by its unit number.
func place(devices []types.BaseVirtualDevice, device types.BaseVirtualDevice) string {
	unit := int32(0)
	if number := device.GetVirtualDevice().UnitNumber; number != nil {
		unit = *number
	}
	for _, other := range devices {
		if other.GetVirtualDevice().Key != device.GetVirtualDevice().ControllerKey {
			continue
		}
		if controller, ok := other.(types.BaseVirtualController); ok {
			kind := reflect.TypeOf(other).Elem().Name()
			return fmt.Sprintf("%s%d:%d", kind, controller.GetVirtualController().BusNumber, unit)
		}
	}
	return fmt.Sprintf("%s:%d", reflect.TypeOf(device).Elem().Name(), unit)
}

// devicesOf returns the devices of a VM, read under its lock.
func (s *Simulator) devicesOf(ctx *simulator.Context, vm *simulator.VirtualMachine) []types.BaseVirtualDevice {
	var devices []types.BaseVirtualDevice
	ctx.WithLock(vm, func() { devices = append(devices, vm.Config.Hardware.Device...) })
	return devices
}

// diskIDs lists the disks of a VM.
func (s *Simulator) diskIDs(ctx *simulator.Context, vm *simulator.VirtualMachine) []diskID {
	var ids []diskID
	for _, disk := range s.disks(vm, s.devicesOf(ctx, vm)) {
		ids = append(ids, disk.id)
	}
	return ids
}

// wait ends with the task that a vcsim method returned; it returns its result or its fault.
func (s *Simulator) wait(body soap.HasFault) (types.AnyType, types.BaseMethodFault) {
	if fault := body.Fault(); fault != nil {
		method, ok := fault.VimFault().(types.BaseMethodFault)
		if !ok {
			method = &types.SystemError{Reason: fault.String}
		}
		return nil, method
	}
	ref := reflect.ValueOf(body).Elem().FieldByName("Res").Elem().FieldByName("Returnval")
	task, ok := s.registry().Get(ref.Interface().(types.ManagedObjectReference)).(*simulator.Task)
	if !ok {
		return nil, &types.SystemError{Reason: "the task is gone"}
	}
	task.Wait()
	if task.Info.Error != nil {
		return nil, task.Info.Error.Fault
	}
	return task.Info.Result, nil
}

// longTask is a task that stays running without a lock on its entity, as an import does for as
// long as its lease is held.
type longTask struct {
	sim  *Simulator
	task *simulator.Task
}

func (s *Simulator) startTask(entity mo.Reference, name string) *longTask {
	task := simulator.CreateTask(entity, name, nil)
	ctx := s.newContext()
	task.Info.State = types.TaskInfoStateRunning
	started := time.Now()
	task.Info.StartTime = &started
	ctx.Map.Put(task)
	ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{
		{Name: "info.key", Val: task.Self.Value},
		{Name: "info.task", Val: task.Self},
	})
	return &longTask{s, task}
}

func (t *longTask) progress(percent int32) {
	ctx := t.sim.newContext()
	ctx.Map.AtomicUpdate(ctx, t.task, []types.PropertyChange{{Name: "info.progress", Val: percent}})
}

func (t *longTask) end(result types.AnyType, fault *types.LocalizedMethodFault) {
	ctx := t.sim.newContext()
	changes := []types.PropertyChange{{Name: "info.completeTime", Val: time.Now()}}
	if fault != nil {
		changes = append(changes,
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateError},
			types.PropertyChange{Name: "info.error", Val: *fault})
	} else {
		changes = append(changes,
			types.PropertyChange{Name: "info.state", Val: types.TaskInfoStateSuccess},
			types.PropertyChange{Name: "info.result", Val: result})
	}
	ctx.Map.AtomicUpdate(ctx, t.task, changes)
}

func localized(fault types.BaseMethodFault, message string) *types.LocalizedMethodFault {
	return &types.LocalizedMethodFault{Fault: fault, LocalizedMessage: message}
}

// copyConfig copies a VM's settings deeply, so that a change to the copy is none to the original.
func copyConfig(config *types.VirtualMachineConfigInfo) (*types.VirtualMachineConfigInfo, error) {
	var text bytes.Buffer
	if err := vimxml.NewEncoder(&text).Encode(config); err != nil {
		return nil, err
	}
	decoder := vimxml.NewDecoder(&text)
	decoder.TypeFunc = types.TypeFunc()
	copied := new(types.VirtualMachineConfigInfo)
	return copied, decoder.Decode(copied)
}
