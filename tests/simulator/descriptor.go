// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// ovfWriter collects the text of a descriptor.
type ovfWriter struct {
	strings.Builder
	next int
}

func escape(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text))
	return out.String()
}

func (w *ovfWriter) line(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = escape(text)
		}
	}
	fmt.Fprintf(w, format+"\n", args...)
}

// item writes one piece of virtual hardware; pairs are rasd elements in alphabetical order.
func (w *ovfWriter) item(pairs ...string) int {
	w.next++
	w.line("      <Item>")
	for i := 0; i+1 < len(pairs); i += 2 {
		value := pairs[i+1]
		if pairs[i] == "InstanceID" {
			value = fmt.Sprint(w.next)
		}
		if value != "" {
			w.line("        <rasd:"+pairs[i]+">%s</rasd:"+pairs[i]+">", value)
		}
	}
	w.line("      </Item>")
	return w.next
}

// createDescriptor answers OvfManager.CreateDescriptor for a VM.
func (s *Simulator) createDescriptor(ctx *simulator.Context, req *types.CreateDescriptor) soap.HasFault {
	body := new(methods.CreateDescriptorBody)
	vm := s.vm(req.Obj)
	if vm == nil {
		body.Fault_ = simulator.Fault("The object is not a virtual machine.", &types.InvalidArgument{InvalidProperty: "obj"})
		return body
	}
	var text string
	ctx.WithLock(vm, func() { text = s.descriptor(vm, &req.Cdp) })
	body.Res = &types.CreateDescriptorResponse{Returnval: types.OvfCreateDescriptorResult{OvfDescriptor: text}}
	return body
}

func (s *Simulator) descriptor(vm *simulator.VirtualMachine, params *types.OvfCreateDescriptorParams) string {
	devices := vm.Config.Hardware.Device
	disks := s.disks(vm, devices)
	name := params.Name
	if name == "" {
		name = vm.Name
	}
	files := map[string]int{} // place of a disk -> index in params.OvfFiles
	nvram := -1
	for i, file := range params.OvfFiles {
		if at := strings.LastIndexByte(file.DeviceId, '/'); at >= 0 {
			if file.DeviceId[at+1:] == "nvram" {
				nvram = i
			}
			files[file.DeviceId[at+1:]] = i
		}
	}

	w := new(ovfWriter)
	w.line(`<?xml version="1.0" encoding="UTF-8"?>`)
	w.line(`<Envelope vmw:buildId="build-0" xmlns="http://schemas.dmtf.org/ovf/envelope/1" ` +
		`xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common" ` +
		`xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" ` +
		`xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" ` +
		`xmlns:vmw="http://www.vmware.com/schema/ovf" ` +
		`xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" ` +
		`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">`)
	w.line("  <References>")
	for i, file := range params.OvfFiles {
		href := file.Path
		if s.settings.get().EscapeHrefs {
			href = (&url.URL{Path: href}).EscapedPath()
		}
		w.line(`    <File ovf:href="%s" ovf:id="file%d" ovf:size="%d"/>`, href, i+1, file.Size)
	}
	w.line("  </References>")
	w.line("  <DiskSection>\n    <Info>Virtual disk information</Info>")
	for i, disk := range disks {
		reference, populated := "", int64(0)
		if at, ok := files[disk.place]; ok {
			reference = fmt.Sprintf(` ovf:fileRef="file%d"`, at+1)
			populated = params.OvfFiles[at].PopulatedSize
		}
		if populated == 0 {
			if stored := s.store.contents([]diskID{disk.id})[disk.id]; stored != nil {
				populated = stored.Populated
			}
		}
		units, capacity := "byte", disk.capacity
		for _, unit := range []int64{30, 20, 10} {
			if disk.capacity%(1<<unit) == 0 {
				units, capacity = fmt.Sprintf("byte * 2^%d", unit), disk.capacity>>unit
				break
			}
		}
		fmt.Fprintf(w, `    <Disk ovf:capacity="%d" ovf:capacityAllocationUnits="%s" ovf:diskId="vmdisk%d"%s `+
			`ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized" ovf:populatedSize="%d"/>`+"\n",
			capacity, units, i+1, reference, populated)
	}
	w.line("  </DiskSection>")
	networks := s.networks(vm, devices)
	w.line("  <NetworkSection>\n    <Info>The list of logical networks</Info>")
	listed := map[string]bool{}
	for _, network := range networks {
		if !listed[network] {
			w.line("    <Network ovf:name=\"%s\">\n      <Description>The %s network</Description>\n    </Network>", network, network)
			listed[network] = true
		}
	}
	w.line("  </NetworkSection>")
	w.line(`  <VirtualSystem ovf:id="%s">`, name)
	w.line("    <Info>A virtual machine</Info>\n    <Name>%s</Name>", name)
	note := params.Description
	if note == "" {
		note = vm.Config.Annotation
	}
	w.line(`    <OperatingSystemSection ovf:id="1" vmw:osType="%s">`, vm.Config.GuestId)
	w.line("      <Info>The kind of installed guest operating system</Info>\n    </OperatingSystemSection>")
	w.line("    <VirtualHardwareSection>\n      <Info>Virtual hardware requirements</Info>")
	w.line("      <System>\n        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>\n" +
		"        <vssd:InstanceID>0</vssd:InstanceID>")
	w.line("        <vssd:VirtualSystemIdentifier>%s</vssd:VirtualSystemIdentifier>", name)
	w.line("        <vssd:VirtualSystemType>%s</vssd:VirtualSystemType>\n      </System>", vm.Config.Version)
	s.hardware(w, vm, devices, disks, networks)
	firmware := vm.Config.Firmware
	w.line(`      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="%s"/>`, firmware)
	if options := vm.Config.BootOptions; options != nil && options.EfiSecureBootEnabled != nil {
		w.line(`      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="%s"/>`,
			fmt.Sprint(*options.EfiSecureBootEnabled))
	}
	if nvram >= 0 {
		w.line(`      <vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/file%d"/>`, nvram+1)
	}
	for _, option := range params.ExportOption {
		if option != "extraconfig" {
			continue
		}
		for _, extra := range vm.Config.ExtraConfig {
			value := extra.GetOptionValue()
			w.line(`      <vmw:ExtraConfig ovf:required="false" vmw:key="%s" vmw:value="%s"/>`, value.Key, fmt.Sprint(value.Value))
		}
	}
	w.line("    </VirtualHardwareSection>")
	if note != "" {
		w.line("    <AnnotationSection ovf:required=\"false\">\n      <Info>A human-readable annotation</Info>\n"+
			"      <Annotation>%s</Annotation>\n    </AnnotationSection>", note)
	}
	w.line("  </VirtualSystem>\n</Envelope>")
	return w.String()
}

// networks names the network of each Ethernet card, in the order of the devices.
func (s *Simulator) networks(vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice) []string {
	var names []string
	for _, device := range devices {
		if _, ok := device.(types.BaseVirtualEthernetCard); !ok {
			continue
		}
		name := "VM Network"
		switch backing := device.GetVirtualDevice().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			name = backing.DeviceName
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			ref := types.ManagedObjectReference{Type: "DistributedVirtualPortgroup", Value: backing.Port.PortgroupKey}
			if group, ok := s.registry().Get(ref).(*simulator.DistributedVirtualPortgroup); ok {
				name = group.Name
			}
		}
		names = append(names, name)
	}
	return names
}

// hardware writes the items of processors, memory, controllers, disks and Ethernet cards.
func (s *Simulator) hardware(w *ovfWriter, vm *simulator.VirtualMachine, devices []types.BaseVirtualDevice,
	disks []vmDisk, networks []string) {
	cpus, memory := vm.Config.Hardware.NumCPU, vm.Config.Hardware.MemoryMB
	w.item("AllocationUnits", "hertz * 10^6", "Description", "Number of Virtual CPUs",
		"ElementName", fmt.Sprintf("%d virtual CPU(s)", cpus), "InstanceID", "", "ResourceType", "3",
		"VirtualQuantity", fmt.Sprint(cpus))
	w.item("AllocationUnits", "byte * 2^20", "Description", "Memory Size",
		"ElementName", fmt.Sprintf("%dMB of memory", memory), "InstanceID", "", "ResourceType", "4",
		"VirtualQuantity", fmt.Sprint(memory))
	controllers := map[int32]int{}
	used := map[int32]bool{}
	for _, disk := range disks {
		used[disk.device.ControllerKey] = true
	}
	for _, device := range devices {
		controller, ok := device.(types.BaseVirtualController)
		if !ok || !used[device.GetVirtualDevice().Key] {
			continue
		}
		kind, subtype, label := "20", "", "SATA Controller"
		switch device.(type) {
		case *types.ParaVirtualSCSIController:
			kind, subtype, label = "6", "VirtualSCSI", "SCSI Controller"
		case *types.VirtualLsiLogicController:
			kind, subtype, label = "6", "lsilogic", "SCSI Controller"
		case *types.VirtualLsiLogicSASController:
			kind, subtype, label = "6", "lsilogicsas", "SCSI Controller"
		case *types.VirtualBusLogicController:
			kind, subtype, label = "6", "buslogic", "SCSI Controller"
		case *types.VirtualIDEController:
			kind, label = "5", "IDE Controller"
		case *types.VirtualNVMEController:
			subtype, label = "vmware.nvme.controller", "NVME Controller"
		default:
			subtype = "vmware.sata.ahci"
		}
		bus := controller.GetVirtualController().BusNumber
		controllers[device.GetVirtualDevice().Key] = w.item("Address", fmt.Sprint(bus), "Description", label,
			"ElementName", fmt.Sprintf("%s %d", label, bus), "InstanceID", "",
			"ResourceSubType", subtype, "ResourceType", kind)
	}
	for i, disk := range disks {
		unit := int32(0)
		if disk.device.UnitNumber != nil {
			unit = *disk.device.UnitNumber
		}
		w.item("AddressOnParent", fmt.Sprint(unit), "ElementName", fmt.Sprintf("Hard Disk %d", i+1),
			"HostResource", fmt.Sprintf("ovf:/disk/vmdisk%d", i+1), "InstanceID", "",
			"Parent", fmt.Sprint(controllers[disk.device.ControllerKey]), "ResourceType", "17")
	}
	n := 0
	for _, device := range devices {
		if _, ok := device.(types.BaseVirtualEthernetCard); !ok {
			continue
		}
		subtype := "VmxNet3"
		switch device.(type) {
		case *types.VirtualE1000:
			subtype = "E1000"
		case *types.VirtualE1000e:
			subtype = "E1000e"
		case *types.VirtualPCNet32:
			subtype = "PCNet32"
		}
		w.item("AddressOnParent", fmt.Sprint(7+n), "AutomaticAllocation", "true", "Connection", networks[n],
			"Description", subtype+" ethernet adapter on \""+networks[n]+"\"",
			"ElementName", fmt.Sprintf("Ethernet %d", n+1), "InstanceID", "",
			"ResourceSubType", subtype, "ResourceType", "10")
		n++
	}
}
