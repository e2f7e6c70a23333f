// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"reflect"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// override replaces a vcsim object during one call. vcsim calls the method by its name; the
// override's own methods are those that vcsim lacks or does not do truly. Being a sync.Locker
// keeps vcsim from locking it.
type override struct {
	Self types.ManagedObjectReference
	sim  *Simulator
}

func (o *override) Reference() types.ManagedObjectReference { return o.Self }
func (*override) Lock()                                     {}
func (*override) Unlock()                                   {}

type (
	vmOverride struct {
		*override
		vm *simulator.VirtualMachine
	}
	snapshotOverride struct {
		*override
		snapshot *simulator.VirtualMachineSnapshot
	}
	poolOverride struct {
		*override
		pool types.ManagedObjectReference
	}
	ovfOverride struct {
		*override
		manager *simulator.OvfManager
	}
)

// ImportVApp opens an import lease.
func (o *poolOverride) ImportVApp(ctx *simulator.Context, req *types.ImportVApp) soap.HasFault {
	return o.sim.importVApp(ctx, o.pool, req)
}

// CreateImportSpec reads an OVF descriptor.
func (o *ovfOverride) CreateImportSpec(ctx *simulator.Context, req *types.CreateImportSpec) soap.HasFault {
	return o.sim.createImportSpec(ctx, o.manager, req)
}

// CreateDescriptor writes an OVF descriptor.
func (o *ovfOverride) CreateDescriptor(ctx *simulator.Context, req *types.CreateDescriptor) soap.HasFault {
	return o.sim.createDescriptor(ctx, req)
}

// ExportVm opens an export lease.
func (o *vmOverride) ExportVm(ctx *simulator.Context, _ *types.ExportVm) soap.HasFault { //nolint:revive // the API's name
	return o.sim.exportVM(ctx, o.vm)
}

// ExportSnapshot opens an export lease on a snapshot's disks.
func (o *snapshotOverride) ExportSnapshot(ctx *simulator.Context, _ *types.ExportSnapshot) soap.HasFault {
	return o.sim.exportSnapshot(ctx, o.snapshot)
}

// lockedMethods cannot run while a lease holds the VM.
var lockedMethods = map[string]bool{
	"PowerOnVM_Task": true, "PowerOffVM_Task": true, "ResetVM_Task": true, "SuspendVM_Task": true,
	"Destroy_Task": true, "ReconfigVM_Task": true, "UpgradeVM_Task": true, "RelocateVM_Task": true,
	"CreateSnapshot_Task": true, "CreateSnapshotEx_Task": true, "RemoveAllSnapshots_Task": true,
	"RevertToCurrentSnapshot_Task": true, "RevertToSnapshot_Task": true, "RemoveSnapshot_Task": true,
	"ExportVm": true, "ExportSnapshot": true, "CloneVM_Task": true, "PromoteDisks_Task": true,
	"MarkAsTemplate": true, "MarkAsVirtualMachine": true, "UnregisterVM": true, "CustomizeVM_Task": true,
	"AttachDisk_Task": true, "DetachDisk_Task": true,
}

// handle is vcsim's hook: it sees every call before vcsim does.
func (s *Simulator) handle(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil {
		return nil, nil
	}
	switch {
	case method.Name == "Logout":
		s.sessionEnds(ctx.Session.Key)
	case method.This.Type == "PropertyCollector" && ctx.Map == s.registry():
		s.collectors.separate(ctx, method.This)
	}
	if fault := s.authorized(ctx, method); fault != nil {
		return nil, fault
	}
	target := ctx.Map.Get(method.This)
	if fault := s.locked(target, method.Name); fault != nil {
		return nil, fault
	}
	if fault := s.mend(target, method); fault != nil {
		return nil, fault
	}
	base := &override{sim: s, Self: types.ManagedObjectReference{Type: "Override", Value: method.This.Value}}
	var replacement mo.Reference
	switch object := target.(type) {
	case *simulator.VirtualMachine:
		replacement = &vmOverride{base, object}
	case *simulator.VirtualMachineSnapshot:
		replacement = &snapshotOverride{base, object}
	case *simulator.ResourcePool, *simulator.VirtualApp:
		replacement = &poolOverride{base, method.This}
	case *simulator.OvfManager:
		replacement = &ovfOverride{base, object}
	case *simulator.Datacenter:
		replacement = &datacenterOverride{base, object}
	case *simulator.ClusterComputeResource:
		replacement = &clusterOverride{base, object}
	case *simulator.StorageResourceManager:
		replacement = &storageOverride{base, object}
	case *simulator.Folder:
		replacement = &folderOverride{base, object}
	case *simulator.EnvironmentBrowser:
		replacement = &browserOverride{base, s.browserHosts(method.This)}
	case *simulator.EventManager:
		if !s.settings.get().ForgetEvents {
			return nil, nil
		}
		replacement = &eventOverride{base}
	default:
		if replacement = s.limited(ctx, method, target, base); replacement == nil {
			return nil, nil
		}
	}
	name := method.Name
	if strings.HasSuffix(name, "_Task") {
		name = strings.TrimSuffix(name, "_Task") + "Task"
	}
	if !reflect.ValueOf(replacement).MethodByName(name).IsValid() {
		return nil, nil
	}
	method.This = base.Self // vcsim would prefer its own object under the old reference
	return replacement, nil
}

// locked refuses to change a VM that a lease holds.
func (s *Simulator) locked(target mo.Reference, method string) types.BaseMethodFault {
	if !lockedMethods[method] {
		return nil
	}
	var vm types.ManagedObjectReference
	switch object := target.(type) {
	case *simulator.VirtualMachine:
		vm = object.Self
	case *simulator.VirtualMachineSnapshot:
		vm = object.Vm
	default:
		return nil
	}
	lease := s.leases.holder(vm)
	if lease == nil {
		if fault := s.refuse(vm); fault != nil {
			return fault
		}
		if settlingMethods[method] {
			s.hold(vm, s.settings.get().SettleDelayMS, nil)
		}
		return nil
	}
	fault := new(types.TaskInProgress)
	if lease.task != nil {
		fault.Task = lease.task.task.Self
	}
	return fault
}

// escapes undoes those in names of the inventory.
var escapes = strings.NewReplacer("%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`, "%25", "%")

// mend completes requests that vcsim does not survive, or refuses them.
func (s *Simulator) mend(target mo.Reference, method *simulator.Method) types.BaseMethodFault {
	search := func(spec **types.HostDatastoreBrowserSearchSpec) {
		if *spec == nil {
			*spec = new(types.HostDatastoreBrowserSearchSpec)
		}
		if len((*spec).MatchPattern) == 0 {
			(*spec).MatchPattern = []string{"*"}
		}
	}
	switch req := method.Body.(type) {
	case *types.SearchDatastore_Task:
		search(&req.SearchSpec)
	case *types.SearchDatastoreSubFolders_Task:
		search(&req.SearchSpec)
	case *types.CreateFolder:
		// vcsim escapes names; names in calls are escaped already.
		req.Name = escapes.Replace(req.Name)
	case *types.CreateVM_Task:
		s.sweep()
		s.markNewDisks(req.Config.DeviceChange)
		if folder, ok := target.(*simulator.Folder); ok {
			if fault := s.checkSpec(s.datacenterOf(folder), &req.Config); fault != nil {
				return fault
			}
			return s.checkGuest(&req.Config, s.targetHosts(req.Pool, req.Host))
		}
	case *types.PowerOnVM_Task:
		if vm, ok := target.(*simulator.VirtualMachine); ok {
			return s.placeVM(vm, req.Host)
		}
	case *types.ReconfigVM_Task:
		s.markNewDisks(req.Spec.DeviceChange)
		if vm, ok := target.(*simulator.VirtualMachine); ok {
			if fault := s.checkChangedGuest(vm, &req.Spec); fault != nil {
				return fault
			}
			if datacenter := s.datacenterOf(vm); datacenter != nil {
				if fault := s.checkDevices(datacenter, req.Spec.DeviceChange); fault != nil {
					return fault
				}
				return checkHardware(&req.Spec, vm.Config)
			}
		}
	}
	return nil
}
