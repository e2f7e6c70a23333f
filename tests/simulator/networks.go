// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/ovf"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const ethernetItem = 10 // of CIM_ResourceAllocationSettingData.ResourceType

// networkRequest is a network that a test adds to the first datacenter. Unlike calls of the API, it can have
// the name of another network.
type networkRequest struct {
	Kind          string   `json:"kind"` // "distributed" or "opaque"
	Name          string   `json:"name"`
	Switch        string   `json:"switch"`         // of a distributed port group; made if there is none of that name
	LogicalSwitch string   `json:"logical_switch"` // of NSX: shared by an opaque network and its distributed port group
	Compute       []string `json:"compute"`        // the clusters and stand-alone hosts that have it; empty: all
}

// controlNetwork adds a network and returns its managed object ID.
func (s *Simulator) controlNetwork(r *http.Request) (any, error) {
	var req networkRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	datacenters := s.registry().All("Datacenter")
	if len(datacenters) == 0 || req.Name == "" {
		return nil, errors.New("a name and a datacenter are needed")
	}
	datacenter := datacenters[0].(*simulator.Datacenter)
	folder := s.registry().Get(datacenter.NetworkFolder).(*simulator.Folder)
	ctx := s.newContext()
	var ref types.ManagedObjectReference
	var err error
	switch req.Kind {
	case "opaque":
		ref, err = s.addOpaque(ctx, folder, &req)
	case "distributed":
		ref, err = s.addPortGroup(ctx, folder, &req)
	default:
		err = fmt.Errorf(`kind must be "distributed" or "opaque", not %q`, req.Kind)
	}
	return map[string]string{"moid": ref.Value}, err
}

func (s *Simulator) addOpaque(ctx *simulator.Context, folder *simulator.Folder, req *networkRequest) (types.ManagedObjectReference, error) {
	unique := uuid.NewString()
	err := folder.AddOpaqueNetwork(ctx, types.OpaqueNetworkSummary{
		NetworkSummary: types.NetworkSummary{Name: unique}, OpaqueNetworkId: req.LogicalSwitch,
	})
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	network := s.registry().FindByName(unique, folder.ChildEntity).(*mo.OpaqueNetwork)
	network.Name = req.Name
	summary := network.Summary.(*types.OpaqueNetworkSummary)
	summary.Name, summary.Network = req.Name, &network.Self
	for _, host := range s.hostsOf(req.Compute) {
		s.offer(ctx, host, network.Self)
		network.Host = append(network.Host, host.Self)
	}
	return network.Self, nil
}

func (s *Simulator) addPortGroup(ctx *simulator.Context, folder *simulator.Folder, req *networkRequest) (types.ManagedObjectReference, error) {
	none := types.ManagedObjectReference{}
	dvs, ok := s.registry().FindByName(req.Switch, folder.ChildEntity).(*simulator.DistributedVirtualSwitch)
	if !ok {
		spec := types.DVSCreateSpec{ConfigSpec: &types.VMwareDVSConfigSpec{DVSConfigSpec: types.DVSConfigSpec{Name: req.Switch}}}
		result, fault := s.wait(folder.CreateDVSTask(ctx, &types.CreateDVS_Task{This: folder.Self, Spec: spec}))
		if fault != nil {
			return none, fmt.Errorf("the switch %q: %T", req.Switch, fault)
		}
		dvs = s.registry().Get(result.(types.ManagedObjectReference)).(*simulator.DistributedVirtualSwitch)
	}
	members := dvs.Summary.HostMember
	dvs.Summary.HostMember = nil
	unique := uuid.NewString()
	spec := types.DVPortgroupConfigSpec{
		Name: unique, NumPorts: 8, Type: string(types.DistributedVirtualPortgroupPortgroupTypeEarlyBinding),
		LogicalSwitchUuid: req.LogicalSwitch,
	}
	_, fault := s.wait(dvs.AddDVPortgroupTask(ctx, &types.AddDVPortgroup_Task{This: dvs.Self, Spec: []types.DVPortgroupConfigSpec{spec}}))
	dvs.Summary.HostMember = members
	if fault != nil {
		return none, fmt.Errorf("the port group %q: %T", req.Name, fault)
	}
	group := s.registry().FindByName(unique, folder.ChildEntity).(*simulator.DistributedVirtualPortgroup)
	group.Name, group.Config.Name = req.Name, req.Name
	group.Entity().Name = req.Name
	if summary, ok := group.Summary.(*types.NetworkSummary); ok {
		summary.Name = req.Name
	}
	for _, host := range s.hostsOf(req.Compute) {
		if !slices.Contains(dvs.Summary.HostMember, host.Self) {
			dvs.Summary.HostMember = append(dvs.Summary.HostMember, host.Self)
		}
		s.offer(ctx, host, group.Self)
		group.Host = append(group.Host, host.Self)
	}
	return group.Self, nil
}

// hostsOf returns the hosts of clusters and stand-alone hosts; without names, all.
func (s *Simulator) hostsOf(compute []string) []*simulator.HostSystem {
	var hosts []*simulator.HostSystem
	for _, entity := range s.registry().All("HostSystem") {
		host, ok := entity.(*simulator.HostSystem)
		if ok && (len(compute) == 0 || slices.Contains(compute, host.Name) || slices.Contains(compute, s.entityName(*host.Parent))) {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// offer adds a network to those of a host and of its compute resource.
func (s *Simulator) offer(ctx *simulator.Context, host *simulator.HostSystem, network types.ManagedObjectReference) {
	add := func(owner mo.Reference, list *[]types.ManagedObjectReference) {
		*list = slices.Clone(*list) // vcsim lets clusters share the memory of their lists
		s.registry().AddReference(ctx, owner, list, network)
	}
	add(host, &host.Network)
	switch compute := s.registry().Get(*host.Parent).(type) {
	case *simulator.ClusterComputeResource:
		add(compute, &compute.Network)
	case *mo.ComputeResource:
		add(compute, &compute.Network)
	}
}

// mapOpaque lets vcsim, which knows no opaque networks in CreateImportSpec, work with the first network of
// another kind; the function that it returns puts the opaque networks into the result.
func (s *Simulator) mapOpaque(req *types.CreateImportSpec) func(*types.VirtualMachineImportSpec) {
	parameters, ok := req.Cisp.(*types.OvfCreateImportSpecParams)
	opaque := map[string]*types.OpaqueNetworkSummary{}
	if ok {
		mapping := slices.Clone(parameters.NetworkMapping)
		for i, entry := range mapping {
			if network, ok := s.registry().Get(entry.Network).(*mo.OpaqueNetwork); ok {
				opaque[entry.Name] = network.Summary.(*types.OpaqueNetworkSummary)
				mapping[i].Network = s.registry().Any("Network").Reference()
			}
		}
		parameters.NetworkMapping = mapping
	}
	return func(spec *types.VirtualMachineImportSpec) {
		if len(opaque) == 0 {
			return
		}
		cards := ethernetCards(spec.ConfigSpec.DeviceChange)
		for i, connection := range ovfConnections(req.OvfDescriptor) {
			if network := opaque[connection]; network != nil && i < len(cards) {
				cards[i].Backing = &types.VirtualEthernetCardOpaqueNetworkBackingInfo{
					OpaqueNetworkId: network.OpaqueNetworkId, OpaqueNetworkType: network.OpaqueNetworkType,
				}
			}
		}
	}
}

// ovfConnections returns the name of the network of each network adapter of an OVF descriptor.
func ovfConnections(descriptor string) []string {
	envelope, err := ovf.Unmarshal(strings.NewReader(descriptor))
	if err != nil || envelope.VirtualSystem == nil {
		return nil
	}
	var connections []string
	for _, hardware := range envelope.VirtualSystem.VirtualHardware {
		for _, item := range hardware.Item {
			if item.ResourceType != nil && *item.ResourceType == ethernetItem && len(item.Connection) > 0 {
				connections = append(connections, item.Connection[0])
			}
		}
	}
	return connections
}

func ethernetCards(changes []types.BaseVirtualDeviceConfigSpec) []*types.VirtualDevice {
	var cards []*types.VirtualDevice
	for _, change := range changes {
		if card, ok := change.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard); ok {
			cards = append(cards, &card.GetVirtualEthernetCard().VirtualDevice)
		}
	}
	return cards
}

// hideOpaque lets vcsim make a VM on an opaque network that has no distributed port group, as those of N-VDS
// switches; the function that it returns connects the VM to it.
func (s *Simulator) hideOpaque(spec *types.VirtualMachineConfigSpec) func(*simulator.Context, *simulator.VirtualMachine) {
	hidden := map[int]*types.VirtualEthernetCardOpaqueNetworkBackingInfo{}
	for i, card := range ethernetCards(spec.DeviceChange) {
		backing, ok := card.Backing.(*types.VirtualEthernetCardOpaqueNetworkBackingInfo)
		if !ok || s.hasPortGroup(backing.OpaqueNetworkId) {
			continue
		}
		hidden[i] = backing
		card.Backing = &types.VirtualEthernetCardNetworkBackingInfo{
			VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "VM Network"},
		}
	}
	return func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		if len(hidden) == 0 {
			return
		}
		ctx.WithLock(vm, func() {
			number := 0
			for _, device := range vm.Config.Hardware.Device {
				card, ok := device.(types.BaseVirtualEthernetCard)
				if !ok {
					continue
				}
				if backing := hidden[number]; backing != nil {
					card.GetVirtualEthernetCard().Backing = backing
					vm.Network[number] = s.opaque(backing.OpaqueNetworkId)
				}
				number++
			}
		})
	}
}

func (s *Simulator) hasPortGroup(logicalSwitch string) bool {
	return slices.ContainsFunc(s.registry().All("DistributedVirtualPortgroup"), func(entity mo.Entity) bool {
		group, ok := entity.(*simulator.DistributedVirtualPortgroup)
		return ok && group.Config.LogicalSwitchUuid == logicalSwitch
	})
}

func (s *Simulator) opaque(id string) types.ManagedObjectReference {
	for _, entity := range s.registry().All("OpaqueNetwork") {
		if network, ok := entity.(*mo.OpaqueNetwork); ok && network.Summary.(*types.OpaqueNetworkSummary).OpaqueNetworkId == id {
			return network.Self
		}
	}
	return types.ManagedObjectReference{}
}
