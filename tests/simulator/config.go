// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
	vimxml "github.com/vmware/govmomi/vim25/xml"
)

// folderOverride creates VMs that keep all settings of their spec.
type folderOverride struct {
	*override
	folder *simulator.Folder
}

// CreateVMTask creates a VM.
func (o *folderOverride) CreateVMTask(ctx *simulator.Context, req *types.CreateVM_Task) soap.HasFault {
	req.This = o.folder.Self
	task := simulator.CreateTask(o.folder, "createVMTask", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		return o.sim.createVM(ctx, o.folder, req)
	})
	return &methods.CreateVM_TaskBody{Res: &types.CreateVM_TaskResponse{Returnval: task.Run(ctx)}}
}

// createVM is vcsim's; then the settings that vcsim drops are set, and the defaults of vSphere.
func (s *Simulator) createVM(ctx *simulator.Context, folder *simulator.Folder, req *types.CreateVM_Task) (types.AnyType, types.BaseMethodFault) {
	asked, err := copySpec(&req.Config)
	if err != nil {
		return nil, &types.SystemError{Reason: err.Error()}
	}
	result, fault := s.wait(folder.CreateVMTask(ctx, req))
	if fault != nil {
		return nil, fault
	}
	vm := s.vm(result.(types.ManagedObjectReference))
	spec := defaultSettings()
	overlay(reflect.ValueOf(spec).Elem(), reflect.ValueOf(asked).Elem())
	ctx.WithLock(vm, func() {
		config := *vm.Config
		keepSettings(&config, spec)
		keepVideoCard(&config, asked)
		s.dropNewer(reflect.ValueOf(&config).Elem())
		ctx.Update(vm, []types.PropertyChange{{Name: "config", Val: config}})
	})
	return result, nil
}

// defaultSettings are the settings of a new VM that a spec leaves unset, as ESXi 8.0 reports them.
func defaultSettings() *types.VirtualMachineConfigSpec {
	no, yes := types.NewBool(false), types.NewBool(true)
	return &types.VirtualMachineConfigSpec{
		Flags: &types.VirtualMachineFlagInfo{
			DisableAcceleration: no, EnableLogging: yes, UseToe: no, RunWithDebugInfo: no, MonitorType: "release",
			HtSharing: "any", SnapshotDisabled: no, SnapshotLocked: no, DiskUuidEnabled: no, VirtualMmuUsage: "automatic",
			VirtualExecUsage: "hvAuto", SnapshotPowerOffBehavior: "powerOff", RecordReplayEnabled: no,
			FaultToleranceType: "unset", CbrcCacheEnabled: no, VvtdEnabled: no, VbsEnabled: no,
		},
		PowerOpInfo: &types.VirtualMachineDefaultPowerOpInfo{
			PowerOffType: "soft", SuspendType: "hard", ResetType: "soft", DefaultPowerOffType: "soft",
			DefaultSuspendType: "hard", DefaultResetType: "soft", StandbyAction: "checkpoint",
		},
		Tools: &types.ToolsConfigInfo{
			AfterPowerOn: yes, AfterResume: yes, BeforeGuestStandby: yes, BeforeGuestShutdown: yes, BeforeGuestReboot: no,
			ToolsUpgradePolicy: "manual", SyncTimeWithHostAllowed: yes, SyncTimeWithHost: no,
		},
		BootOptions: &types.VirtualMachineBootOptions{
			EnterBIOSSetup: no, EfiSecureBootEnabled: no, BootRetryEnabled: no, BootRetryDelay: 10000, NetworkBootProtocol: "ipv4",
		},
		MemoryHotAddEnabled: no, CpuHotAddEnabled: no, CpuHotRemoveEnabled: no, SwapPlacement: "inherit",
		MaxMksConnections: -1, GuestAutoLockEnabled: yes, MemoryReservationLockedToMax: no, NestedHVEnabled: no, VPMCEnabled: no,
		MessageBusTunnelEnabled: no, MigrateEncryption: "opportunistic", FtEncryptionMode: "ftEncryptionOpportunistic",
		SevEnabled: no, PmemFailoverEnabled: no, VmxStatsCollectionEnabled: yes, VmOpNotificationToAppEnabled: no,
		VmOpNotificationTimeout: -1,
		RebootPowerOff:          no, FixedPassthruHotPlugEnabled: no, VirtualICH7MPresent: no, VirtualSMCPresent: no,
		MotherboardLayout: "i440bxHostBridge", SimultaneousThreads: 1, SgxInfo: &types.VirtualMachineSgxInfo{},
		ScheduledHardwareUpgradeInfo: &types.ScheduledHardwareUpgradeInfo{UpgradePolicy: "never"},
	}
}

// reconfigured completes a spec for vcsim, which replaces groups of settings instead of merging them, and sets the settings
// that vcsim drops.
func reconfigured(config *types.VirtualMachineConfigInfo, spec *types.VirtualMachineConfigSpec) {
	merge := func(group, current any) any {
		given := reflect.ValueOf(group)
		if given.IsNil() || reflect.ValueOf(current).IsNil() {
			return group
		}
		merged := reflect.New(given.Elem().Type())
		merged.Elem().Set(reflect.ValueOf(current).Elem())
		overlay(merged.Elem(), given.Elem())
		return merged.Interface()
	}
	spec.Flags = merge(spec.Flags, &config.Flags).(*types.VirtualMachineFlagInfo)
	spec.BootOptions = merge(spec.BootOptions, config.BootOptions).(*types.VirtualMachineBootOptions)
	spec.Tools = merge(spec.Tools, config.Tools).(*types.ToolsConfigInfo)
	keepSettings(config, spec)
}

// overlay sets the fields of to that are set in from; pointers to structures of both are merged.
func overlay(to, from reflect.Value) {
	for i := range to.NumField() {
		target, value := to.Field(i), from.Field(i)
		switch {
		case value.IsZero():
		case value.Kind() == reflect.Struct:
			overlay(target, value)
		case value.Kind() == reflect.Pointer && value.Elem().Kind() == reflect.Struct && !target.IsNil():
			merged := reflect.New(value.Elem().Type())
			merged.Elem().Set(target.Elem())
			overlay(merged.Elem(), value.Elem())
			target.Set(merged)
		default:
			target.Set(value)
		}
	}
}

// sameSettings have one name and type in ConfigSpec and ConfigInfo, and vcsim drops them or replaces them as a whole.
var sameSettings = []string{
	"Tools", "BootOptions", "ConsolePreferences", "RebootPowerOff", "VcpuConfig", "MemoryHotAddEnabled", "CpuHotAddEnabled",
	"CpuHotRemoveEnabled", "NetworkShaper", "SwapPlacement", "VAssertsEnabled", "MaxMksConnections", "GuestAutoLockEnabled",
	"MemoryReservationLockedToMax", "NestedHVEnabled", "VPMCEnabled", "ScheduledHardwareUpgradeInfo",
	"MessageBusTunnelEnabled", "MigrateEncryption", "SgxInfo", "FtEncryptionMode", "GuestMonitoringModeInfo", "SevEnabled",
	"PmemFailoverEnabled", "VmxStatsCollectionEnabled", "VmOpNotificationToAppEnabled", "VmOpNotificationTimeout", "Pmem",
	"DeviceGroups", "FixedPassthruHotPlugEnabled", "MetroFtEnabled", "MetroFtHostGroup", "TdxEnabled", "SevSnpEnabled",
}

// keepSettings sets the settings of a spec that vcsim drops.
func keepSettings(config *types.VirtualMachineConfigInfo, spec *types.VirtualMachineConfigSpec) {
	to, from := reflect.ValueOf(config).Elem(), reflect.ValueOf(spec).Elem()
	for _, name := range sameSettings {
		if value := from.FieldByName(name); !value.IsZero() {
			to.FieldByName(name).Set(value)
		}
	}
	if spec.Flags != nil {
		config.Flags = *spec.Flags
	}
	if spec.PowerOpInfo != nil {
		overlay(reflect.ValueOf(&config.DefaultPowerOps).Elem(), reflect.ValueOf(spec.PowerOpInfo).Elem())
	}
	for _, change := range spec.CpuFeatureMask {
		if change.Info != nil && change.Operation == types.ArrayUpdateOperationAdd {
			config.CpuFeatureMask = append(config.CpuFeatureMask, *change.Info)
		}
	}
	for _, affinity := range []**types.VirtualMachineAffinityInfo{&config.CpuAffinity, &config.MemoryAffinity} {
		if *affinity != nil && len((*affinity).AffinitySet) == 0 {
			*affinity = nil
		}
	}
	keepProcessors(config, spec)
	keepVApp(config, spec)
}

// keepProcessors sets the layout of processors and the main board.
func keepProcessors(config *types.VirtualMachineConfigInfo, spec *types.VirtualMachineConfigSpec) {
	hardware := &config.Hardware
	if cores := spec.NumCoresPerSocket; cores != nil {
		hardware.AutoCoresPerSocket = types.NewBool(*cores == 0)
		if *cores == 0 { // the server chooses
			hardware.NumCoresPerSocket = types.NewInt32(hardware.NumCPU)
		}
	}
	if spec.VirtualICH7MPresent != nil {
		hardware.VirtualICH7MPresent = spec.VirtualICH7MPresent
	}
	if spec.VirtualSMCPresent != nil {
		hardware.VirtualSMCPresent = spec.VirtualSMCPresent
	}
	if spec.MotherboardLayout != "" {
		hardware.MotherboardLayout = spec.MotherboardLayout
	}
	if spec.SimultaneousThreads != 0 {
		hardware.SimultaneousThreads = spec.SimultaneousThreads
	}
	if config.NumaInfo == nil {
		config.NumaInfo = &types.VirtualMachineVirtualNumaInfo{
			AutoCoresPerNumaNode: types.NewBool(true), VnumaOnCpuHotaddExposed: types.NewBool(false),
		}
	}
	if numa := spec.VirtualNuma; numa != nil {
		if numa.CoresPerNumaNode != nil {
			config.NumaInfo.AutoCoresPerNumaNode = types.NewBool(*numa.CoresPerNumaNode == 0)
			config.NumaInfo.CoresPerNumaNode = numa.CoresPerNumaNode
		}
		if numa.ExposeVnumaOnCpuHotadd != nil {
			config.NumaInfo.VnumaOnCpuHotaddExposed = numa.ExposeVnumaOnCpuHotadd
		}
	}
}

// keepVApp sets products and properties of a vApp.
func keepVApp(config *types.VirtualMachineConfigInfo, spec *types.VirtualMachineConfigSpec) {
	asked, ok := spec.VAppConfig.(*types.VmConfigSpec)
	if !ok || asked.IpAssignment == nil && len(asked.Product)+len(asked.Property)+len(asked.OvfSection) == 0 {
		return
	}
	info := &types.VmConfigInfo{
		Eula: asked.Eula, OvfEnvironmentTransport: asked.OvfEnvironmentTransport, InstallBootStopDelay: asked.InstallBootStopDelay,
		InstallBootRequired: isSet(asked.InstallBootRequired),
	}
	if asked.IpAssignment != nil {
		info.IpAssignment = *asked.IpAssignment
	}
	for _, product := range asked.Product {
		info.Product = append(info.Product, *product.Info)
	}
	for _, property := range asked.Property {
		info.Property = append(info.Property, *property.Info)
	}
	for _, section := range asked.OvfSection {
		info.OvfSection = append(info.OvfSection, *section.Info)
	}
	config.VAppConfig = info
}

// keepVideoCard sets the settings of the video card, in place of which vcsim has its default.
func keepVideoCard(config *types.VirtualMachineConfigInfo, asked *types.VirtualMachineConfigSpec) {
	for _, change := range asked.DeviceChange {
		card, ok := change.GetVirtualDeviceConfigSpec().Device.(*types.VirtualMachineVideoCard)
		if !ok {
			continue
		}
		for i, device := range config.Hardware.Device {
			if existing, ok := device.(*types.VirtualMachineVideoCard); ok {
				replaced := *card
				replaced.VirtualDevice = existing.VirtualDevice
				config.Hardware.Device[i] = &replaced
			}
		}
	}
}

// copySpec copies a spec deeply.
func copySpec(spec *types.VirtualMachineConfigSpec) (*types.VirtualMachineConfigSpec, error) {
	var text bytes.Buffer
	if err := vimxml.NewEncoder(&text).Encode(spec); err != nil {
		return nil, err
	}
	decoder := vimxml.NewDecoder(&text)
	decoder.TypeFunc = types.TypeFunc()
	copied := new(types.VirtualMachineConfigSpec)
	return copied, decoder.Decode(copied)
}

func typeName(value any) string { return reflect.TypeOf(value).Elem().Name() }

// clearField unsets a field by the names of the API.
func clearField(value any, names []string) {
	structure := reflect.ValueOf(value).Elem()
	for i := range structure.NumField() {
		name, _, _ := strings.Cut(structure.Type().Field(i).Tag.Get("json"), ",")
		field := structure.Field(i)
		switch {
		case name != names[0]:
		case len(names) == 1:
			field.SetZero()
		case field.Kind() == reflect.Pointer && !field.IsNil():
			clearField(field.Interface(), names[1:])
		}
	}
}
