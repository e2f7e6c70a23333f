// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// makeTemplates makes a VM template in every datacenter: the hardware of a Horizon image, and no disk.
func (s *Simulator) makeTemplates() error {
	if s.options.template == "" {
		return nil
	}
	for _, entity := range s.registry().All("Datacenter") {
		datacenter, ok := entity.(*simulator.Datacenter)
		if !ok {
			continue
		}
		if err := s.makeTemplate(datacenter); err != nil {
			return fmt.Errorf("the VM template in %s: %w", datacenter.Name, err)
		}
	}
	return nil
}

func (s *Simulator) makeTemplate(datacenter *simulator.Datacenter) error {
	ctx := s.newContext()
	folder, ok := s.registry().Get(datacenter.VmFolder).(*simulator.Folder)
	if !ok || len(datacenter.Datastore) == 0 {
		return fmt.Errorf("the datacenter has no datastore")
	}
	datastore, ok := s.registry().Get(datacenter.Datastore[0]).(*simulator.Datastore)
	if !ok {
		return fmt.Errorf("the datacenter has no datastore")
	}
	pool, err := s.anyPool(datacenter)
	if err != nil {
		return err
	}
	spec := s.templateSpec(s.options.template, datastore.Name)
	if spec.Version == "" {
		spec.Version = hardwareName(min(19, s.highestOf(s.hostsAround(s.registry().Get(pool)))))
	}
	result, fault := s.createVM(ctx, folder, &types.CreateVM_Task{This: folder.Self, Config: spec, Pool: pool})
	if fault != nil {
		return fmt.Errorf("%T", fault)
	}
	vm := s.vm(result.(types.ManagedObjectReference))
	ctx.WithLock(vm, func() { vm.MarkAsTemplate(&types.MarkAsTemplate{This: vm.Self}) })
	return nil
}

// anyPool returns the root resource pool of a cluster or host that reaches the datacenter's datastore.
func (s *Simulator) anyPool(datacenter *simulator.Datacenter) (types.ManagedObjectReference, error) {
	for _, kind := range []string{"ClusterComputeResource", "ComputeResource"} {
		for _, entity := range s.registry().All(kind) {
			if found := s.datacenterOf(entity); found == nil || found.Self != datacenter.Self {
				continue
			}
			switch compute := entity.(type) {
			case *simulator.ClusterComputeResource:
				return *compute.ResourcePool, nil
			case *mo.ComputeResource:
				return *compute.ResourcePool, nil
			}
		}
	}
	return types.ManagedObjectReference{}, fmt.Errorf("the datacenter has no cluster and no host")
}

func (s *Simulator) templateSpec(name, datastore string) types.VirtualMachineConfigSpec {
	var devices object.VirtualDeviceList
	controller := &types.ParaVirtualSCSIController{}
	controller.SharedBus = types.VirtualSCSISharingNoSharing
	controller.HotAddRemove = types.NewBool(true)
	controller.Key = devices.NewKey()
	controller.BusNumber = 0
	devices = append(devices, controller)
	card := &types.VirtualVmxnet3{}
	card.Key = devices.NewKey()
	card.Backing = &types.VirtualEthernetCardNetworkBackingInfo{
		VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "VM Network"},
	}
	card.Connectable = &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true}
	card.AddressType = string(types.VirtualEthernetCardMacTypeGenerated)
	card.WakeOnLanEnabled = types.NewBool(true)
	devices = append(devices, card)
	changes, _ := devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	return types.VirtualMachineConfigSpec{
		Name:              name,
		Version:           s.options.hardware,
		GuestId:           string(types.VirtualMachineGuestOsIdentifierWindows9_64Guest),
		Firmware:          string(types.GuestOsDescriptorFirmwareTypeEfi),
		BootOptions:       &types.VirtualMachineBootOptions{EfiSecureBootEnabled: types.NewBool(true)},
		NumCPUs:           2,
		NumCoresPerSocket: types.NewInt32(2),
		MemoryMB:          4096,
		Annotation:        "Hardware of layered images: EFI, PVSCSI, VMXNET3, no disk.",
		Files:             &types.VirtualMachineFileInfo{VmPathName: "[" + datastore + "]"},
		DeviceChange:      changes,
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "svga.autodetect", Value: "TRUE"},
		},
	}
}
