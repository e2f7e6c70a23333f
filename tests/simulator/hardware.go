// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// storageFamily describes the controllers that share bus numbers, and the places on each of them.
type storageFamily struct {
	name    string
	version types.HardwareVersion // the hardware version that introduced it
	buses   int32
	units   func(device types.BaseVirtualDevice, version types.HardwareVersion) int32
	self    int32 // the unit number of the controller itself, -1 if it has none
}

func fixedUnits(units int32) func(types.BaseVirtualDevice, types.HardwareVersion) int32 {
	return func(types.BaseVirtualDevice, types.HardwareVersion) int32 { return units }
}

var (
	ideFamily  = &storageFamily{"IDE", types.VMX3, 2, fixedUnits(2), -1}
	sataFamily = &storageFamily{"SATA", types.VMX10, 4, fixedUnits(30), -1}
	nvmeFamily = &storageFamily{"NVMe", types.VMX13, 4, func(_ types.BaseVirtualDevice, version types.HardwareVersion) int32 {
		if version >= types.VMX21 {
			return 64
		}
		return 15
	}, -1}
	scsiFamily = &storageFamily{"SCSI", types.VMX3, 4, func(device types.BaseVirtualDevice, version types.HardwareVersion) int32 {
		if _, ok := device.(*types.ParaVirtualSCSIController); ok && version >= types.VMX14 {
			return 65 // 64 devices and the controller
		}
		return 16
	}, 7}
)

// storage returns the family of a storage controller, nil for other devices.
func storage(device types.BaseVirtualDevice) *storageFamily {
	switch device.(type) {
	case types.BaseVirtualSCSIController:
		return scsiFamily
	case types.BaseVirtualSATAController:
		return sataFamily
	case *types.VirtualNVMEController:
		return nvmeFamily
	case *types.VirtualIDEController:
		return ideFamily
	}
	return nil
}

// deviceVersion returns the hardware version that introduced a device.
func deviceVersion(device types.BaseVirtualDevice) types.HardwareVersion {
	if family := storage(device); family != nil {
		return family.version
	}
	switch device := device.(type) {
	case *types.VirtualTPM:
		return types.VMX14
	case *types.VirtualPrecisionClock, *types.VirtualWDT:
		return types.VMX17
	case *types.VirtualPCIPassthrough:
		if _, ok := device.Backing.(*types.VirtualPCIPassthroughDynamicBackingInfo); ok {
			return types.VMX17
		}
	}
	return types.VMX3
}

// specifiedVM is the hardware that a spec asks for, on top of what a VM has.
type specifiedVM struct {
	version  types.HardwareVersion
	firmware string
	devices  map[int32]types.BaseVirtualDevice // by key, of the VM and the spec
}

// defaultControllers are the controllers that every VM has, by their key.
var defaultControllers = map[int32]types.BaseVirtualDevice{
	100: &types.VirtualPCIController{VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: 100}}},
	200: &types.VirtualIDEController{VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: 200}}},
	201: &types.VirtualIDEController{VirtualController: types.VirtualController{
		VirtualDevice: types.VirtualDevice{Key: 201}, BusNumber: 1}},
	300: &types.VirtualPS2Controller{VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: 300}}},
	400: &types.VirtualSIOController{VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: 400}}},
}

// checkHardware refuses a spec that vCenter refuses: keys, controllers, places, devices that the hardware version lacks,
// and settings that need EFI. existing is the configuration of a VM to reconfigure, nil for a new VM.
func checkHardware(spec *types.VirtualMachineConfigSpec, existing *types.VirtualMachineConfigInfo) types.BaseMethodFault {
	vm := specifiedVM{version: types.VMX13, firmware: spec.Firmware, devices: map[int32]types.BaseVirtualDevice{}}
	text := spec.Version
	if existing != nil {
		text = existing.Version
		if vm.firmware == "" {
			vm.firmware = existing.Firmware
		}
		for _, device := range existing.Hardware.Device {
			vm.devices[device.GetVirtualDevice().Key] = device
		}
	}
	for key, device := range defaultControllers {
		if vm.devices[key] == nil {
			vm.devices[key] = device
		}
	}
	if version, err := types.ParseHardwareVersion(text); err == nil {
		vm.version = version
	}
	if fault := vm.checkFirmware(spec); fault != nil {
		return fault
	}
	if fault := vm.checkProcessors(spec); fault != nil {
		return fault
	}
	return vm.checkDevices(spec.DeviceChange)
}

func isSet(value *bool) bool { return value != nil && *value }

// checkFirmware refuses settings that need EFI, or a newer hardware version.
func (vm *specifiedVM) checkFirmware(spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	efi := vm.firmware == string(types.GuestOsDescriptorFirmwareTypeEfi)
	if options := spec.BootOptions; options != nil && isSet(options.EfiSecureBootEnabled) && (!efi || vm.version < types.VMX13) {
		return &types.InvalidVmConfig{Property: "msg.hostd.configSpec.efi"}
	}
	if flags := spec.Flags; flags != nil && isSet(flags.VbsEnabled) && (!efi || vm.version < types.VMX14) {
		return &types.InvalidVmConfig{Property: "configSpec.flags.vbsEnabled"}
	}
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec()
		if _, ok := device.Device.(*types.VirtualTPM); ok && device.Operation == types.VirtualDeviceConfigSpecOperationAdd && !efi {
			return &types.InvalidVmConfig{Property: "msg.hostd.configSpec.efi"}
		}
	}
	return nil
}

// checkProcessors refuses a topology that only newer hardware versions have.
func (vm *specifiedVM) checkProcessors(spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	if cores := spec.NumCoresPerSocket; cores != nil && *cores == 0 && vm.version < types.VMX20 {
		return &types.InvalidArgument{InvalidProperty: "configSpec.numCoresPerSocket"}
	}
	if spec.VirtualNuma != nil && vm.version < types.VMX20 {
		return &types.InvalidArgument{InvalidProperty: "configSpec.virtualNuma"}
	}
	return nil
}

// place is a unit number on a controller.
type unitPlace struct {
	controller, unit int32
}

// checkDevices refuses changes to devices that do not fit together.
func (vm *specifiedVM) checkDevices(changes []types.BaseVirtualDeviceConfigSpec) types.BaseMethodFault {
	added, fault := vm.collect(changes)
	if fault != nil {
		return fault
	}
	taken, buses := map[unitPlace]bool{}, map[string]bool{}
	for key, device := range vm.devices {
		if _, ok := added[key]; !ok {
			vm.occupy(device, taken, buses)
		}
	}
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if spec.Operation != types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		if fault := vm.checkDevice(int32(i), spec.Device, taken, buses); fault != nil {
			return fault
		}
		vm.occupy(spec.Device, taken, buses)
	}
	return nil
}

// collect adds new devices to the VM's devices and takes those away that the changes remove or move.
func (vm *specifiedVM) collect(changes []types.BaseVirtualDeviceConfigSpec) (map[int32]bool, types.BaseMethodFault) {
	added := map[int32]bool{}
	for i, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		key := spec.Device.GetVirtualDevice().Key
		switch spec.Operation {
		case types.VirtualDeviceConfigSpecOperationRemove:
			delete(vm.devices, key)
		case types.VirtualDeviceConfigSpecOperationEdit:
			vm.devices[key] = spec.Device
		case types.VirtualDeviceConfigSpecOperationAdd:
			if key == 0 {
				continue // not assigned
			}
			if added[key] {
				return nil, &types.InvalidArgument{InvalidProperty: fmt.Sprintf("deviceChange[%d].device.key", i)}
			}
			added[key] = true
			vm.devices[key] = spec.Device
		}
	}
	return added, nil
}

func (vm *specifiedVM) occupy(device types.BaseVirtualDevice, taken map[unitPlace]bool, buses map[string]bool) {
	d := device.GetVirtualDevice()
	if d.ControllerKey != 0 && d.UnitNumber != nil {
		taken[unitPlace{d.ControllerKey, *d.UnitNumber}] = true
	}
	if family := storage(device); family != nil {
		buses[fmt.Sprint(family.name, device.(types.BaseVirtualController).GetVirtualController().BusNumber)] = true
	}
}

// checkDevice refuses a new device that has no place.
func (vm *specifiedVM) checkDevice(index int32, device types.BaseVirtualDevice, taken map[unitPlace]bool, buses map[string]bool) types.BaseMethodFault {
	d := device.GetVirtualDevice()
	invalid := types.InvalidDeviceSpec{DeviceIndex: index}
	if least := deviceVersion(device); vm.version < least {
		return &types.DeviceUnsupportedForVmVersion{
			InvalidDeviceSpec: types.InvalidDeviceSpec{DeviceIndex: d.Key},
			CurrentVersion:    vm.version.String(), ExpectedVersion: least.String(),
		}
	}
	if family := storage(device); family != nil && family != ideFamily {
		bus := device.(types.BaseVirtualController).GetVirtualController().BusNumber
		if bus < 0 || bus >= family.buses || buses[fmt.Sprint(family.name, bus)] {
			return &invalid
		}
	}
	_, disk := device.(*types.VirtualDisk)
	_, drive := device.(*types.VirtualCdrom)
	if d.ControllerKey == 0 {
		if disk || drive {
			return &types.MissingController{InvalidDeviceSpec: invalid}
		}
		return nil
	}
	controller := vm.devices[d.ControllerKey]
	if _, ok := controller.(types.BaseVirtualController); !ok {
		return &types.InvalidController{InvalidDeviceSpec: invalid, ControllerKey: d.ControllerKey}
	}
	family := storage(controller)
	if (disk || drive) && (family == nil || (drive && family == nvmeFamily)) {
		return &types.InvalidController{InvalidDeviceSpec: invalid, ControllerKey: d.ControllerKey}
	}
	if d.UnitNumber == nil {
		return nil
	}
	unit := *d.UnitNumber
	if unit < 0 || taken[unitPlace{d.ControllerKey, unit}] {
		return &invalid
	}
	if family != nil && (unit == family.self || unit >= family.units(controller, vm.version)) {
		return &invalid
	}
	return nil
}

// dropSettings removes settings from a spec, as a server does that ignores them without a word. A path has the names of the
// API: "powerOpInfo.powerOffType", "extraConfig numa.nodeAffinity", "device VirtualWDT".
func dropSettings(spec *types.VirtualMachineConfigSpec, paths []string) {
	for _, path := range paths {
		kind, name, _ := strings.Cut(path, " ")
		switch kind {
		case "device":
			var kept []types.BaseVirtualDeviceConfigSpec
			for _, change := range spec.DeviceChange {
				if typeName(change.GetVirtualDeviceConfigSpec().Device) != name {
					kept = append(kept, change)
				}
			}
			spec.DeviceChange = kept
		case "extraConfig":
			var kept []types.BaseOptionValue
			for _, option := range spec.ExtraConfig {
				if option.GetOptionValue().Key != name {
					kept = append(kept, option)
				}
			}
			spec.ExtraConfig = kept
		default:
			clearField(spec, strings.Split(path, "."))
		}
	}
}
