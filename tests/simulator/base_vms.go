// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"sort"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// baseInventory is what the simulated Connection Server reads from this vCenter. It reads it here instead of through
// the SOAP endpoint, so that its calls do not appear in the journal and no rule acts on them.
type baseInventory struct {
	InstanceUUID string           `json:"instance_uuid"`
	Version      string           `json:"version"`
	Datacenters  []datacenterView `json:"datacenters"`
	VMs          []baseVMView     `json:"vms"`
}

type datacenterView struct {
	MoID string `json:"moid"`
	Name string `json:"name"`
	Path string `json:"path"`
}

type baseVMView struct {
	MoID       string         `json:"moid"`
	Name       string         `json:"name"`
	Path       string         `json:"path"`
	Datacenter string         `json:"datacenter"` // its managed object ID
	Power      string         `json:"power"`
	Template   bool           `json:"template"`
	Hardware   string         `json:"hardware"` // such as vmx-19
	GuestID    string         `json:"guest_id"`
	MemoryMB   int32          `json:"memory_mb"`
	Snapshots  []snapshotView `json:"snapshots"`
}

type snapshotView struct {
	MoID        string `json:"moid"`
	Name        string `json:"name"`
	Path        string `json:"path"` // names of the snapshots above it and its own
	Description string `json:"description"`
	Created     int64  `json:"created"` // milliseconds since 1970
	Power       string `json:"power"`
}

func (s *Simulator) baseInventory() baseInventory {
	root := s.entityOf(types.ManagedObjectReference{})
	about := s.model.ServiceContent.About
	inventory := baseInventory{
		InstanceUUID: about.InstanceUuid, Version: about.Version, Datacenters: []datacenterView{}, VMs: []baseVMView{},
	}
	for _, entity := range s.registry().All("Datacenter") {
		ref := entity.Reference()
		inventory.Datacenters = append(inventory.Datacenters, datacenterView{
			MoID: ref.Value, Name: s.entityName(ref), Path: s.entityPath(ref, root),
		})
	}
	ctx := s.newContext()
	for _, entity := range s.registry().All("VirtualMachine") {
		vm, ok := entity.(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		view := baseVMView{MoID: vm.Self.Value, Path: s.entityPath(vm.Self, root), Snapshots: []snapshotView{}}
		if datacenter := s.datacenterOf(vm); datacenter != nil {
			view.Datacenter = datacenter.Self.Value
		}
		ctx.WithLock(vm, func() {
			view.Name, view.Power, view.Template = vm.Name, string(vm.Runtime.PowerState), vm.Config.Template
			view.Hardware, view.GuestID, view.MemoryMB = vm.Config.Version, vm.Config.GuestId, vm.Config.Hardware.MemoryMB
			if vm.Snapshot != nil {
				view.Snapshots = snapshotViews(vm.Snapshot.RootSnapshotList, "", view.Snapshots)
			}
		})
		inventory.VMs = append(inventory.VMs, view)
	}
	sort.Slice(inventory.VMs, func(i, j int) bool { return inventory.VMs[i].Path < inventory.VMs[j].Path })
	return inventory
}

func snapshotViews(tree []types.VirtualMachineSnapshotTree, above string, views []snapshotView) []snapshotView {
	for _, node := range tree {
		path := above + "/" + node.Name
		views = append(views, snapshotView{
			MoID: node.Snapshot.Value, Name: node.Name, Path: path, Description: node.Description,
			Created: node.CreateTime.UnixMilli(), Power: string(node.State),
		})
		views = snapshotViews(node.ChildSnapshotList, path, views)
	}
	return views
}
