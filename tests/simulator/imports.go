// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// importVApp answers ImportVApp with a lease that is initializing while the VM is created.
func (s *Simulator) importVApp(ctx *simulator.Context, pool types.ManagedObjectReference, req *types.ImportVApp) soap.HasFault {
	body := new(methods.ImportVAppBody)
	fail := func(fault types.BaseMethodFault, message string) soap.HasFault {
		body.Fault_ = simulator.Fault(message, fault)
		return body
	}
	spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
	if !ok {
		return fail(&types.InvalidArgument{InvalidProperty: "spec"}, "Only a VirtualMachineImportSpec can be imported.")
	}
	entity := s.registry().Get(pool)
	folder, fault := s.importFolder(pool, req.Folder)
	if fault != nil {
		return fail(fault, "There is no such folder for virtual machines.")
	}
	if fault := s.checkSpec(s.datacenterOf(folder), &spec.ConfigSpec); fault != nil {
		return fail(fault, fmt.Sprintf("The spec of %q cannot be used: %T.", spec.ConfigSpec.Name, fault))
	}
	host, fault := s.importHost(pool, req.Host, &spec.ConfigSpec, s.datacenterOf(folder))
	if fault != nil {
		return fail(fault, fmt.Sprintf("No host can be used for %q: %T.", spec.ConfigSpec.Name, fault))
	}
	if fault := s.checkGuest(&spec.ConfigSpec, s.targetHosts(pool, req.Host)); fault != nil {
		return fail(fault, fmt.Sprintf("A specified parameter was not correct: %s", fault.(*types.InvalidArgument).InvalidProperty))
	}
	lease := s.newLease(ctx, true, s.startTask(entity, "ImportVAppLRO"))
	go s.buildImport(lease, folder, pool, host, spec)
	body.Res = &types.ImportVAppResponse{Returnval: lease.Self}
	return body
}

func (s *Simulator) importFolder(pool types.ManagedObjectReference, wanted *types.ManagedObjectReference) (*simulator.Folder, types.BaseMethodFault) {
	if wanted != nil {
		folder, ok := s.registry().Get(*wanted).(*simulator.Folder)
		if !ok || s.datacenterOf(folder) == nil {
			return nil, &types.InvalidArgument{InvalidProperty: "folder"}
		}
		return folder, nil
	}
	var datacenter *simulator.Datacenter
	switch owner := s.registry().Get(pool).(type) {
	case *simulator.ResourcePool:
		datacenter = s.datacenterOf(owner)
	case *simulator.VirtualApp:
		datacenter = s.datacenterOf(owner)
	}
	if datacenter == nil {
		return nil, &types.InvalidArgument{InvalidProperty: "this"}
	}
	folder, _ := s.registry().Get(datacenter.VmFolder).(*simulator.Folder)
	return folder, nil
}

// buildImport makes the VM of an import and then opens the lease.
func (s *Simulator) buildImport(lease *Lease, folder *simulator.Folder, pool types.ManagedObjectReference,
	host *types.ManagedObjectReference, spec *types.VirtualMachineImportSpec) {
	ctx := s.newContext()
	time.Sleep(time.Duration(s.settings.get().LeaseDelayMS) * time.Millisecond)
	if hit := s.rules.match("LEASE", spec.ConfigSpec.Name, "import"); hit != nil {
		time.Sleep(time.Duration(hit.DelayMS) * time.Millisecond)
		if hit.Fault != "" {
			fault, _ := hit.fault()
			lease.fail(ctx, fault, hit.message())
			return
		}
	}
	s.sweep()
	for _, change := range spec.ConfigSpec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec()
		if _, ok := device.Device.(*types.VirtualDisk); ok && device.FileOperation == "" {
			device.FileOperation = types.VirtualDeviceConfigSpecFileOperationCreate
		}
	}
	dropSettings(&spec.ConfigSpec, s.settings.get().DropSettings)
	connect, keep := s.hideOpaque(&spec.ConfigSpec), s.keepPolicies(&spec.ConfigSpec)
	result, fault := s.createVM(ctx, folder, &types.CreateVM_Task{
		This: folder.Self, Config: spec.ConfigSpec, Pool: pool, Host: host,
	})
	if fault != nil {
		lease.fail(ctx, fault, fmt.Sprintf("The virtual machine could not be created: %T.", fault))
		return
	}
	ref := result.(types.ManagedObjectReference)
	vm := s.vm(ref)
	connect(ctx, vm)
	keep(ctx, vm)
	s.leases.lock(ref, lease)
	s.showDisabledMethods(ref)
	lease.mu.Lock()
	lease.vm = ref
	late := lease.ended // expired or aborted while the VM was made
	lease.mu.Unlock()
	if late {
		s.leases.unlock(lease)
		s.destroy(ref)
		return
	}
	disks := s.disks(vm, s.devicesOf(ctx, vm))
	for i := range disks {
		s.store.drop([]diskID{disks[i].id})
		lease.add(vm, &disks[i], path.Base(disks[i].id.path), nil, nil)
	}
	lease.ready(ref)
}

// checkSpec refuses specs that would crash vcsim.
func (s *Simulator) checkSpec(datacenter *simulator.Datacenter, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	if spec.Name == "" {
		return &types.InvalidVmConfig{Property: "configSpec.name"}
	}
	if datacenter == nil {
		return &types.InvalidArgument{InvalidProperty: "folder"}
	}
	known := func(file string) bool {
		var p object.DatastorePath
		if !p.FromString(file) {
			return false
		}
		return s.registry().FindByName(p.Datastore, datacenter.Datastore) != nil
	}
	if spec.Files == nil || !known(spec.Files.VmPathName) {
		return &types.InvalidDatastorePath{DatastorePath: "", InvalidDatastore: types.InvalidDatastore{Name: ""}}
	}
	if fault := s.checkPolicies(spec); fault != nil {
		return fault
	}
	if fault := s.checkDevices(datacenter, spec.DeviceChange); fault != nil {
		return fault
	}
	return checkHardware(spec, nil)
}

func (s *Simulator) checkDevices(datacenter *simulator.Datacenter, changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if spec == nil || spec.Device == nil {
			return &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
		}
		switch backing := spec.Device.GetVirtualDevice().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			if s.registry().FindByName(backing.DeviceName, datacenter.Network) == nil {
				return &types.InvalidDeviceBacking{InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: int32(i)}}
			}
		case types.BaseVirtualDeviceFileBackingInfo:
			file := backing.GetVirtualDeviceFileBackingInfo().FileName
			var p object.DatastorePath
			if file != "" && (!p.FromString(file) || s.registry().FindByName(p.Datastore, datacenter.Datastore) == nil) {
				return &types.InvalidDatastorePath{DatastorePath: file}
			}
		}
	}
	return nil
}

// createImportSpec is vcsim's with the marks that an import lease uses, and without its panics.
func (s *Simulator) createImportSpec(ctx *simulator.Context, manager *simulator.OvfManager, req *types.CreateImportSpec) (res soap.HasFault) {
	refuse := func(message string) soap.HasFault {
		return &methods.CreateImportSpecBody{Res: &types.CreateImportSpecResponse{Returnval: types.OvfCreateImportSpecResult{
			Error: []types.LocalizedMethodFault{*localized(new(types.OvfInvalidPackage), message)},
		}}}
	}
	defer func() {
		if reason := recover(); reason != nil {
			res = refuse(fmt.Sprintf("The OVF package is invalid and cannot be deployed: %v.", reason))
		}
	}()
	hardware, err := readOVF(req.OvfDescriptor)
	if err != nil {
		return refuse(err.Error())
	}
	req.OvfDescriptor = scsiInstead(req.OvfDescriptor)
	connect := s.mapOpaque(req)
	res = manager.CreateImportSpec(ctx, req)
	body, ok := res.(*methods.CreateImportSpecBody)
	if !ok || body.Res == nil {
		return res
	}
	result := &body.Res.Returnval
	if len(result.Error) > 0 {
		result.ImportSpec = nil
		return res
	}
	spec, ok := result.ImportSpec.(*types.VirtualMachineImportSpec)
	if !ok {
		return res
	}
	connect(spec)
	hardware.place(&spec.ConfigSpec)
	if spec.ConfigSpec.Firmware == "" {
		spec.ConfigSpec.Firmware = hardware.firmware
	}
	spec.ConfigSpec.Annotation = hardware.annotation
	s.checkImportedGuest(req, result, &spec.ConfigSpec)
	var devices []types.BaseVirtualDevice
	for _, change := range spec.ConfigSpec.DeviceChange {
		devices = append(devices, change.GetVirtualDeviceConfigSpec().Device)
	}
	for i := range result.FileItem {
		item := &result.FileItem[i]
		var kind string
		var n int
		name := item.DeviceId[strings.LastIndexByte(item.DeviceId, '/')+1:]
		if at := strings.LastIndexByte(name, ':'); at > 0 {
			kind = name[:at]
			_, _ = fmt.Sscanf(name[at+1:], "%d", &n)
		}
		for _, device := range devices {
			if _, ok := device.(*types.VirtualDisk); !ok || kind != "disk" {
				continue
			}
			if n == 0 {
				item.DeviceId = "/" + spec.ConfigSpec.Name + "/" + place(devices, device)
				break
			}
			n--
		}
	}
	return res
}
