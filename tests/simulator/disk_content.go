// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// newContentID returns a content ID as vSphere spells it.
func newContentID() string { return strings.ReplaceAll(uuid.NewString(), "-", "") }

// markNewDisks gives disks that a call adds a content ID.
func (s *Simulator) markNewDisks(changes []types.BaseVirtualDeviceConfigSpec) {
	if !s.settings.get().ContentIDs {
		return
	}
	for _, change := range changes {
		spec := change.GetVirtualDeviceConfigSpec()
		if spec == nil || spec.Operation != types.VirtualDeviceConfigSpecOperationAdd {
			continue
		}
		if disk, ok := spec.Device.(*types.VirtualDisk); ok {
			if backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok && backing.ContentId == "" {
				backing.ContentId = newContentID()
			}
		}
	}
}

// showContent sets the content IDs of the disks of a VM to those of the stored disks. It must be called after every
// change of their content.
func (s *Simulator) showContent(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	if vm == nil {
		return
	}
	shown := s.settings.get().ContentIDs
	ctx.WithLock(vm, func() {
		if vm.Config == nil {
			return
		}
		changed := false
		devices := append([]types.BaseVirtualDevice(nil), vm.Config.Hardware.Device...)
		for i, device := range devices {
			disk, ok := device.(*types.VirtualDisk)
			if !ok {
				continue
			}
			backing, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			if !ok {
				continue
			}
			id := backing.ContentId
			found := s.disks(vm, []types.BaseVirtualDevice{disk})
			if !shown {
				id = ""
			} else if len(found) == 1 {
				if stored := s.store.contents([]diskID{found[0].id})[found[0].id]; stored != nil {
					id = stored.SHA256[:32]
				}
			}
			if id == backing.ContentId {
				continue
			}
			diskCopy, backingCopy := *disk, *backing
			backingCopy.ContentId, diskCopy.Backing = id, &backingCopy
			devices[i], changed = &diskCopy, true
		}
		if changed {
			ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: devices}})
		}
	})
}

// showContents is showContent of every VM.
func (s *Simulator) showContents() {
	for _, entity := range s.registry().All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok {
			s.showContent(s.newContext(), vm)
		}
	}
}

// RefreshStorageInfo reads the files of the VM: their sizes are known only then.
func (o *vmOverride) RefreshStorageInfo(ctx *simulator.Context, req *types.RefreshStorageInfo) soap.HasFault {
	body := &methods.RefreshStorageInfoBody{Res: new(types.RefreshStorageInfoResponse)}
	var fault *soap.Fault
	ctx.WithLock(o.vm, func() {
		if fault = o.vm.RefreshStorageInfo(ctx, req).Fault(); fault != nil || o.vm.LayoutEx == nil {
			return
		}
		layout := *o.vm.LayoutEx
		layout.File = append([]types.VirtualMachineFileLayoutExFileInfo(nil), layout.File...)
		for _, disk := range o.sim.disks(o.vm, o.vm.Config.Hardware.Device) {
			stored := o.sim.store.contents([]diskID{disk.id})[disk.id]
			if stored == nil {
				continue
			}
			name := strings.TrimSuffix(disk.id.path, ".vmdk") + "-flat.vmdk"
			for i := range layout.File {
				if layout.File[i].Name == name {
					layout.File[i].Size, layout.File[i].UniqueSize = stored.Populated, stored.Populated
				}
			}
		}
		ctx.Update(o.vm, []types.PropertyChange{{Name: "layoutEx", Val: &layout}})
	})
	if fault != nil {
		return &methods.RefreshStorageInfoBody{Fault_: fault}
	}
	return body
}

type eventOverride struct{ *override }

// QueryEvents answers as a vCenter that has removed its old events.
func (o *eventOverride) QueryEvents(*simulator.Context, *types.QueryEvents) soap.HasFault {
	return &methods.QueryEventsBody{Res: new(types.QueryEventsResponse)}
}
