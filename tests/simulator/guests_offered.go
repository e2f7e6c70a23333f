// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// hardwareOfRelease has the highest hardware version of each ESXi release (KB 315655), newest first.
var hardwareOfRelease = []struct{ major, minor, update, hardware int }{
	{9, 0, 0, 22}, {8, 0, 2, 21}, {8, 0, 0, 20}, {7, 0, 2, 19}, {7, 0, 1, 18}, {7, 0, 0, 17}, {6, 7, 2, 15}, {6, 7, 0, 14}, {6, 5, 0, 13},
}

// hardwareVersions are those that ESXi has had (KB 312100); the others are of VMware Workstation.
var hardwareVersions = []int{4, 7, 8, 9, 10, 11, 13, 14, 15, 17, 18, 19, 20, 21, 22}

// hardwareOfGuest has the least hardware version of guest IDs, as in VMware's own tests of guests
// (github.com/vmware/ansible-vsphere-gos-validation, windows/check_os_fullname). Other guest IDs need none.
var hardwareOfGuest = map[string]int{
	"windows9Guest": 10, "windows9_64Guest": 10, "windows9Server64Guest": 10,
	"windows2019srv_64Guest": 17, "windows2019srvNext_64Guest": 18, "windows2022srvNext_64Guest": 20,
	"windows11_64Guest": 20, "windows12_64Guest": 20,
}

// mappedGuest replaces a guest ID of an OVF descriptor that the target does not offer.
const mappedGuest = string(types.VirtualMachineGuestOsIdentifierOtherGuest64)

// highestHardware returns the highest hardware version of an ESXi release such as "8.0.3.0".
func highestHardware(release string) int {
	var numbers [3]int
	for i, part := range strings.SplitN(release+".0.0.0", ".", 4)[:3] {
		numbers[i], _ = strconv.Atoi(part)
	}
	for _, known := range hardwareOfRelease {
		if slices.Compare(numbers[:], []int{known.major, known.minor, known.update}) >= 0 {
			return known.hardware
		}
	}
	return 11
}

// hardwareNumber returns 19 for "vmx-19", 0 for another text.
func hardwareNumber(version string) int {
	number, err := strconv.Atoi(strings.TrimPrefix(version, "vmx-"))
	if err != nil || !strings.HasPrefix(version, "vmx-") {
		return 0
	}
	return number
}

func hardwareName(number int) string { return fmt.Sprintf("vmx-%02d", number) }

// hasGuest reports whether a hardware version has a guest ID.
func hasGuest(hardware int, guest string) bool {
	return hardware >= hardwareOfGuest[guest] && slices.Contains(simulator.GuestID, types.VirtualMachineGuestOsIdentifier(guest))
}

// release returns the version of a host: that of vCenter, unless the setting host_versions names the host.
func (s *Simulator) release(host types.ManagedObjectReference) string {
	if version := s.settings.get().HostVersions[s.entityName(host)]; version != "" {
		return version
	}
	return s.options.apiVersion
}

// highestOf returns the highest hardware version that any of the hosts has.
func (s *Simulator) highestOf(hosts []types.ManagedObjectReference) int {
	highest := 0
	for _, host := range hosts {
		highest = max(highest, highestHardware(s.release(host)))
	}
	return highest
}

// setRelease gives every host the product version that it has by release.
func (s *Simulator) setRelease() {
	ctx := s.newContext()
	for _, entity := range s.registry().All("HostSystem") {
		host, ok := entity.(*simulator.HostSystem)
		if !ok || host.Config == nil {
			continue
		}
		release := s.release(host.Self)
		version := strings.Join(append(strings.Split(release, "."), "0", "0")[:3], ".")
		ctx.WithLock(host, func() {
			product := host.Config.Product
			product.Version, product.ApiVersion = version, release
			product.FullName = fmt.Sprintf("%s %s build-%s", product.Name, version, product.Build)
			ctx.Update(host, []types.PropertyChange{
				{Name: "config.product", Val: product}, {Name: "summary.config.product", Val: &product},
			})
		})
	}
}

// hostsAround returns the hosts of a cluster, a host, a resource pool or a VM.
func (s *Simulator) hostsAround(entity mo.Reference) []types.ManagedObjectReference {
	switch object := entity.(type) {
	case *simulator.ClusterComputeResource:
		return object.Host
	case *mo.ComputeResource:
		return object.Host
	case *simulator.HostSystem:
		return []types.ManagedObjectReference{object.Self}
	case *simulator.ResourcePool:
		return s.hostsAround(s.registry().Get(object.Owner))
	case *simulator.VirtualApp:
		return s.hostsAround(s.registry().Get(object.Owner))
	case *simulator.VirtualMachine:
		if object.Runtime.Host != nil {
			if host, ok := s.registry().Get(*object.Runtime.Host).(*simulator.HostSystem); ok && host.Parent != nil {
				return s.hostsAround(s.registry().Get(*host.Parent))
			}
		}
	}
	return nil
}

// checkGuest refuses a hardware version that no host has, and a guest ID that the hardware version lacks.
// A new VM without a version gets the newest of its hosts.
func (s *Simulator) checkGuest(spec *types.VirtualMachineConfigSpec, hosts []types.ManagedObjectReference) types.BaseMethodFault {
	if len(hosts) == 0 {
		return nil
	}
	highest := s.highestOf(hosts)
	if spec.Version == "" {
		spec.Version = hardwareName(highest)
	}
	number := hardwareNumber(spec.Version)
	if number > highest || !slices.Contains(hardwareVersions, number) {
		return &types.InvalidArgument{InvalidProperty: "configSpec.version"}
	}
	if spec.GuestId != "" && !hasGuest(number, spec.GuestId) {
		return &types.InvalidArgument{InvalidProperty: "configSpec.guestId"}
	}
	return nil
}

// targetHosts returns the hosts on which a new VM may be made.
func (s *Simulator) targetHosts(pool types.ManagedObjectReference, host *types.ManagedObjectReference) []types.ManagedObjectReference {
	if host != nil {
		return []types.ManagedObjectReference{*host}
	}
	return s.hostsAround(s.registry().Get(pool))
}

// checkChangedGuest refuses a guest ID that the hardware version of the VM lacks.
func (s *Simulator) checkChangedGuest(vm *simulator.VirtualMachine, spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	if spec.GuestId == "" {
		return nil
	}
	wanted := types.VirtualMachineConfigSpec{Version: vm.Config.Version, GuestId: spec.GuestId}
	return s.checkGuest(&wanted, s.hostsAround(vm))
}

// checkImportedGuest changes the answer of CreateImportSpec: a hardware version that no host has is an error, and a
// guest ID that is not offered is replaced, with a warning.
func (s *Simulator) checkImportedGuest(req *types.CreateImportSpec, result *types.OvfCreateImportSpecResult, spec *types.VirtualMachineConfigSpec) {
	hosts := s.targetHosts(req.ResourcePool, req.Cisp.GetOvfCreateImportSpecParams().HostSystem)
	wanted := types.VirtualMachineConfigSpec{Version: spec.Version, GuestId: spec.GuestId}
	fault, refused := s.checkGuest(&wanted, hosts).(*types.InvalidArgument)
	switch {
	case !refused:
	case fault.InvalidProperty == "configSpec.version":
		unknown := &types.OvfNoSupportedHardwareFamily{Version: spec.Version}
		result.Error = append(result.Error, *localized(unknown, fmt.Sprintf("Unsupported hardware family '%s'.", spec.Version)))
		result.ImportSpec = nil
	default:
		mapped := &types.OvfMappedOsId{OvfId: 1, OvfDescription: spec.GuestId, TargetDescription: mappedGuest}
		result.Warning = append(result.Warning, *localized(mapped, fmt.Sprintf("The operating system '%s' is not supported "+
			"on the selected host. It will be mapped to '%s'.", spec.GuestId, mappedGuest)))
		spec.GuestId = mappedGuest
	}
}

type browserOverride struct {
	*override
	hosts []types.ManagedObjectReference
}

// browserHosts returns the hosts that an EnvironmentBrowser is about.
func (s *Simulator) browserHosts(browser types.ManagedObjectReference) []types.ManagedObjectReference {
	for _, kind := range []string{"ClusterComputeResource", "ComputeResource"} {
		for _, entity := range s.registry().All(kind) {
			switch compute := entity.(type) {
			case *simulator.ClusterComputeResource:
				if compute.EnvironmentBrowser != nil && *compute.EnvironmentBrowser == browser {
					return compute.Host
				}
			case *mo.ComputeResource:
				if compute.EnvironmentBrowser != nil && *compute.EnvironmentBrowser == browser {
					return compute.Host
				}
			}
		}
	}
	return nil
}

// QueryConfigOptionDescriptor lists the hardware versions and the hosts that have them.
func (o *browserOverride) QueryConfigOptionDescriptor(*simulator.Context, *types.QueryConfigOptionDescriptor) soap.HasFault {
	highest := o.sim.highestOf(o.hosts)
	var found []types.VirtualMachineConfigOptionDescriptor
	for _, number := range hardwareVersions {
		descriptor := types.VirtualMachineConfigOptionDescriptor{
			Key: hardwareName(number), Description: hardwareName(number), DefaultConfigOption: number == highest,
			CreateSupported: true, RunSupported: true, UpgradeSupported: true,
		}
		for _, host := range o.hosts {
			if highestHardware(o.sim.release(host)) >= number {
				descriptor.Host = append(descriptor.Host, host)
			}
		}
		if len(descriptor.Host) > 0 {
			found = append(found, descriptor)
		}
	}
	return &methods.QueryConfigOptionDescriptorBody{Res: &types.QueryConfigOptionDescriptorResponse{Returnval: found}}
}

// option returns the configuration options of a hardware version, nil if no host has it.
func (o *browserOverride) option(key string, host *types.ManagedObjectReference, guests []string) *types.VirtualMachineConfigOption {
	hosts := o.hosts
	if host != nil {
		hosts = []types.ManagedObjectReference{*host}
	}
	highest := o.sim.highestOf(hosts)
	number := highest
	if key != "" {
		number = hardwareNumber(key)
	}
	if number > highest || !slices.Contains(hardwareVersions, number) {
		return nil
	}
	option := &types.VirtualMachineConfigOption{Version: hardwareName(number), Description: hardwareName(number)}
	option.HardwareOptions.HwVersion = int32(number)
	shares := &option.HardwareOptions.ResourceConfigOption
	shares.CpuAllocationOption.SharesOption.DefaultLevel = types.SharesLevelNormal
	shares.MemoryAllocationOption.SharesOption.DefaultLevel = types.SharesLevelNormal
	for _, id := range simulator.GuestID {
		if hasGuest(number, string(id)) {
			option.GuestOSDescriptor = append(option.GuestOSDescriptor, guestDescriptor(string(id)))
		}
	}
	// As documented: without a match the whole list is returned.
	if named := slices.DeleteFunc(slices.Clone(option.GuestOSDescriptor), func(guest types.GuestOsDescriptor) bool {
		return !slices.Contains(guests, guest.Id)
	}); len(named) > 0 {
		option.GuestOSDescriptor = named
	}
	return option
}

func guestDescriptor(id string) types.GuestOsDescriptor {
	family := types.VirtualMachineGuestOsFamilyLinuxGuest
	if strings.HasPrefix(id, "win") {
		family = types.VirtualMachineGuestOsFamilyWindowsGuest
	}
	return types.GuestOsDescriptor{
		Id: id, Family: string(family), FullName: id, SupportedMaxCPUs: 128, NumSupportedPhysicalSockets: 128, NumSupportedCoresPerSocket: 64,
		SupportedMaxMemMB: 6 << 20, RecommendedMemMB: 4096, RecommendedColorDepth: 32, SupportedNumDisks: 60, RecommendedDiskSizeMB: 48 << 10,
		SupportedDiskControllerList: []string{"ParaVirtualSCSIController", "VirtualLsiLogicSASController"},
		RecommendedSCSIController:   "VirtualLsiLogicSASController", RecommendedDiskController: "VirtualLsiLogicSASController",
		RecommendedCdromController: "VirtualAHCIController", SupportedEthernetCard: []string{"VirtualVmxnet3", "VirtualE1000e"},
		RecommendedEthernetCard: "VirtualE1000e", SupportedFirmware: []string{"bios", "efi"}, RecommendedFirmware: "efi",
		SupportLevel: "supported", SupportedForCreate: true, SupportsPvscsiControllerForBoot: true,
	}
}

// QueryConfigOptionEx returns the options of a hardware version, for all hosts or for a host.
func (o *browserOverride) QueryConfigOptionEx(_ *simulator.Context, req *types.QueryConfigOptionEx) soap.HasFault {
	spec := req.Spec
	if spec == nil {
		spec = new(types.EnvironmentBrowserConfigOptionQuerySpec)
	}
	option := o.option(spec.Key, spec.Host, spec.GuestId)
	return &methods.QueryConfigOptionExBody{Res: &types.QueryConfigOptionExResponse{Returnval: option}}
}

// QueryConfigOption is QueryConfigOptionEx of older clients.
func (o *browserOverride) QueryConfigOption(_ *simulator.Context, req *types.QueryConfigOption) soap.HasFault {
	option := o.option(req.Key, req.Host, nil)
	return &methods.QueryConfigOptionBody{Res: &types.QueryConfigOptionResponse{Returnval: option}}
}
