// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/xml"
	"regexp"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// ovfFacts are the facts of a descriptor that vcsim ignores.
type ovfFacts struct {
	firmware, annotation string
	controllers, disks   []ovfItem
}

// ovfItem is a storage controller or a disk of a descriptor.
type ovfItem struct {
	Kind    int    `xml:"ResourceType"`
	Subtype string `xml:"ResourceSubType"`
	Address *int32 `xml:"Address"`
	Unit    *int32 `xml:"AddressOnParent"`
}

func readOVF(text string) (*ovfFacts, error) {
	var envelope struct {
		System struct {
			Annotation string `xml:"AnnotationSection>Annotation"`
			Hardware   []struct {
				Items  []ovfItem `xml:"Item"`
				Config []struct {
					Key   string `xml:"key,attr"`
					Value string `xml:"value,attr"`
				} `xml:"Config"`
			} `xml:"VirtualHardwareSection"`
		} `xml:"VirtualSystem"`
	}
	if err := xml.Unmarshal([]byte(text), &envelope); err != nil {
		return nil, err
	}
	facts := &ovfFacts{annotation: envelope.System.Annotation}
	for _, hardware := range envelope.System.Hardware {
		for _, config := range hardware.Config {
			if config.Key == "firmware" {
				facts.firmware = config.Value
			}
		}
		for _, item := range hardware.Items {
			switch item.Kind {
			case 5, 6, 20:
				facts.controllers = append(facts.controllers, item)
			case 17:
				facts.disks = append(facts.disks, item)
			}
		}
	}
	return facts, nil
}

var (
	ovfItemText  = regexp.MustCompile(`(?s)<(?:\w+:)?Item[ >].*?</(?:\w+:)?Item>`)
	otherStorage = regexp.MustCompile(`(ResourceType>)20(<)`)
	otherSubtype = regexp.MustCompile(`(ResourceSubType>)[^<]*(nvme|ahci)[^<]*(<)`)
)

// scsiInstead describes NVMe and AHCI controllers as SCSI controllers: vcsim reads no other controllers.
func scsiInstead(descriptor string) string {
	return ovfItemText.ReplaceAllStringFunc(descriptor, func(item string) string {
		if !otherStorage.MatchString(item) || !otherSubtype.MatchString(item) {
			return item
		}
		return otherSubtype.ReplaceAllString(otherStorage.ReplaceAllString(item, "${1}6${2}"), "${1}VirtualSCSI${3}")
	})
}

// place gives controllers their true type and bus number, and disks their unit number.
func (f *ovfFacts) place(spec *types.VirtualMachineConfigSpec) {
	controllers, disks := f.controllers, f.disks
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec()
		switch storage(device.Device) {
		case nil:
			if disk, ok := device.Device.(*types.VirtualDisk); ok && len(disks) > 0 {
				if disks[0].Unit != nil {
					disk.UnitNumber = types.NewInt32(*disks[0].Unit)
				}
				disks = disks[1:]
			}
			continue
		case scsiFamily:
			if len(controllers) > 0 {
				device.Device = controllers[0].controller(device.Device)
			}
		}
		if len(controllers) > 0 {
			controllers = controllers[1:]
		}
	}
}

// controller returns the device for the item of a controller that vcsim took for SCSI.
func (i *ovfItem) controller(scsi types.BaseVirtualDevice) types.BaseVirtualDevice {
	common := scsi.(types.BaseVirtualController).GetVirtualController()
	if i.Address != nil {
		common.BusNumber = *i.Address
	}
	switch subtype := strings.ToLower(i.Subtype); {
	case i.Kind != 20:
		return scsi
	case strings.Contains(subtype, "nvme"):
		return &types.VirtualNVMEController{VirtualController: *common}
	default:
		return &types.VirtualAHCIController{VirtualSATAController: types.VirtualSATAController{VirtualController: *common}}
	}
}
