// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	systemView = "System.View"
	systemRead = "System.Read"
)

// systemPrivileges belong to every role that a user defines.
var systemPrivileges = []string{"System.Anonymous", systemView, systemRead}

// permission is a role on an object. Without privileges it is the role "No access", which hides the object.
type permission struct {
	privileges map[string]bool
	propagate  bool
}

// account is a user with roles. It has no privileges on objects without a permission of their own or of an ancestor.
type account struct {
	password    string
	permissions map[types.ManagedObjectReference]permission
}

// accountTable has the users in addition to the administrator, who may do everything.
type accountTable struct {
	mu       sync.Mutex
	accounts map[string]*account
}

func (t *accountTable) find(name string) *account {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.accounts[name]
}

func (t *accountTable) set(name string, added *account) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.accounts == nil {
		t.accounts = map[string]*account{}
	}
	t.accounts[name] = added
}

// validLogin accepts the administrator and the users that the control endpoint defined.
func (s *Simulator) validLogin(req *types.Login) bool {
	if req.UserName == s.options.username {
		return req.Password == s.options.password
	}
	user := s.accounts.find(req.UserName)
	return user != nil && user.password == req.Password
}

// restricted returns the account of a session, nil for the administrator and for calls without a session.
func (s *Simulator) restricted(ctx *simulator.Context) *account {
	if ctx.Session == nil {
		return nil
	}
	return s.accounts.find(ctx.Session.UserName)
}

// parents returns the objects from which an object inherits permissions: a VM has its folder and its resource pool.
func (s *Simulator) parents(ref types.ManagedObjectReference) []types.ManagedObjectReference {
	var found []types.ManagedObjectReference
	entity, ok := s.registry().Get(ref).(mo.Entity)
	if !ok {
		return nil
	}
	if parent := entity.Entity().Parent; parent != nil {
		found = append(found, *parent)
	}
	if vm, ok := entity.(*simulator.VirtualMachine); ok {
		if vm.ParentVApp != nil {
			found = append(found, *vm.ParentVApp)
		}
		if vm.ResourcePool != nil {
			found = append(found, *vm.ResourcePool)
		}
	}
	return found
}

// entityOf returns the inventory object whose permissions apply to a reference; managers have those of the root folder.
func (s *Simulator) entityOf(ref types.ManagedObjectReference) types.ManagedObjectReference {
	switch known := s.registry().Get(ref).(type) {
	case *simulator.VirtualMachineSnapshot:
		return known.Vm
	case *simulator.Task:
		if known.Info.Entity != nil {
			return *known.Info.Entity
		}
	case mo.Entity:
		return ref
	}
	return s.service.Context.Map.Get(types.ManagedObjectReference{Type: "ServiceInstance", Value: "ServiceInstance"}).(*simulator.ServiceInstance).Content.RootFolder
}

// belongs reports whether a reference is a part of an inventory object: a snapshot or a task.
func belongs(ref types.ManagedObjectReference) bool {
	return ref.Type == "VirtualMachineSnapshot" || ref.Type == "Task"
}

// held reports whether the account has a privilege on an object: by a permission on the object, which hides inherited
// permissions, or by the nearest permissions above it that propagate.
func (s *Simulator) held(user *account, ref types.ManagedObjectReference, privilege string) bool {
	if own, ok := user.permissions[ref]; ok {
		return own.privileges[privilege]
	}
	return slices.ContainsFunc(s.parents(ref), func(parent types.ManagedObjectReference) bool {
		return s.inherited(user, parent, privilege)
	})
}

func (s *Simulator) inherited(user *account, ref types.ManagedObjectReference, privilege string) bool {
	if own, ok := user.permissions[ref]; ok && own.propagate {
		return own.privileges[privilege]
	}
	return slices.ContainsFunc(s.parents(ref), func(parent types.ManagedObjectReference) bool {
		return s.inherited(user, parent, privilege)
	})
}

// hidden reports whether an inventory object does not exist for the account.
func (s *Simulator) hidden(user *account, ref types.ManagedObjectReference) bool {
	if _, ok := s.registry().Get(ref).(mo.Entity); !ok {
		return false
	}
	return !s.held(user, ref, systemView)
}

// need is a privilege on an object that a call requires.
type need struct {
	object    types.ManagedObjectReference
	privilege string
}

// authorized refuses a call of a user who lacks a privilege that it requires.
func (s *Simulator) authorized(ctx *simulator.Context, method *simulator.Method) types.BaseMethodFault {
	user := s.restricted(ctx)
	if user == nil {
		return nil
	}
	fault := new(types.NoPermission)
	for _, required := range s.needs(method) {
		entity := s.entityOf(required.object)
		// Every user who is logged in may use the managers.
		if entity != required.object && !belongs(required.object) && strings.HasPrefix(required.privilege, "System.") {
			continue
		}
		if s.held(user, entity, required.privilege) {
			continue
		}
		if fault.Object == nil {
			fault.Object, fault.PrivilegeId = &entity, required.privilege
		}
		fault.MissingPrivileges = append(fault.MissingPrivileges, types.NoPermissionEntityPrivileges{
			Entity: entity, PrivilegeIds: []string{required.privilege},
		})
	}
	if fault.Object == nil {
		return nil
	}
	return fault
}

// needs lists the privileges that a call requires.
func (s *Simulator) needs(method *simulator.Method) []need {
	found := s.documentedNeeds(method)
	add := func(object types.ManagedObjectReference, privileges ...string) {
		for _, privilege := range privileges {
			found = append(found, need{object, privilege})
		}
	}
	if method.Name == "Fetch" {
		add(reflect.ValueOf(method.Body).Elem().FieldByName("This").Interface().(types.ManagedObjectReference), systemView)
	}
	switch req := method.Body.(type) {
	case *types.ImportVApp:
		spec, ok := req.Spec.(*types.VirtualMachineImportSpec)
		if folder, fault := s.importFolder(method.This, req.Folder); ok && fault == nil {
			add(method.This, "Resource.AssignVMToPool")
			add(folder.Self, "VirtualMachine.Inventory.Create")
			for _, place := range []types.ManagedObjectReference{folder.Self, method.This} {
				found = append(found, s.creationNeeds(place, &spec.ConfigSpec, true)...)
			}
			found = append(found, s.resourceNeeds(s.datacenterOf(folder), &spec.ConfigSpec)...)
		}
	case *types.CreateVM_Task:
		found = append(found, s.creationNeeds(method.This, &req.Config, false)...)
		if folder, ok := s.registry().Get(method.This).(*simulator.Folder); ok {
			found = append(found, s.resourceNeeds(s.datacenterOf(folder), &req.Config)...)
		}
	case *types.ReconfigVM_Task:
		found = append(found, reconfigureNeeds(method.This, &req.Spec)...)
		if vm := s.vm(method.This); vm != nil {
			found = append(found, s.resourceNeeds(s.datacenterOf(vm), &req.Spec)...)
		}
	case *types.CloneVM_Task:
		vm := s.vm(method.This)
		if vm != nil && vm.Config.Template {
			add(method.This, "VirtualMachine.Provisioning.DeployTemplate")
		} else {
			add(method.This, "VirtualMachine.Provisioning.Clone")
		}
		if req.Spec.Location.Pool != nil {
			add(*req.Spec.Location.Pool, "Resource.AssignVMToPool")
		}
		if req.Spec.Location.Datastore != nil {
			add(*req.Spec.Location.Datastore, "Datastore.AllocateSpace")
		}
	case *types.Destroy_Task:
		privilege := map[string]string{
			"VirtualMachine": "VirtualMachine.Inventory.Delete", "Folder": "Folder.Delete", "Datacenter": "Datacenter.Delete",
			"VirtualApp": "VApp.Delete", "ResourcePool": "Resource.DeletePool", "ClusterComputeResource": "Host.Inventory.DeleteCluster",
			"Datastore": "Datastore.Delete", "DistributedVirtualPortgroup": "DVPortgroup.Delete",
		}[method.This.Type]
		add(method.This, privilege)
		// A VM has to be deleted from its folder: the pool in which it runs does not matter.
		if entity, ok := s.registry().Get(method.This).(mo.Entity); ok && entity.Entity().Parent != nil {
			add(*entity.Entity().Parent, privilege)
		}
	case *types.Rename_Task:
		add(method.This, map[string]string{
			"VirtualMachine": "VirtualMachine.Config.Rename", "Folder": "Folder.Rename", "Datacenter": "Datacenter.Rename",
			"Datastore": "Datastore.Rename", "ResourcePool": "Resource.RenamePool", "VirtualApp": "VApp.Rename",
		}[method.This.Type])
	case *types.MoveIntoFolder_Task:
		for _, item := range req.List {
			add(item, map[string]string{"VirtualMachine": "VirtualMachine.Inventory.Move", "Folder": "Folder.Move"}[item.Type])
		}
	}
	return found
}

// documentedNeeds lists the privileges that the API reference names for the method and its parameters.
func (s *Simulator) documentedNeeds(method *simulator.Method) []need {
	var found []need
	body := reflect.ValueOf(method.Body).Elem()
	for parameter, privilege := range methodPrivileges[method.Name] {
		if parameter == "this" {
			found = append(found, need{method.This, privilege})
			continue
		}
		field := body.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, parameter) })
		if !field.IsValid() {
			continue
		}
		switch value := field.Interface().(type) {
		case types.ManagedObjectReference:
			found = append(found, need{value, privilege})
		case *types.ManagedObjectReference:
			if value != nil {
				found = append(found, need{*value, privilege})
			}
		case []types.ManagedObjectReference:
			for _, ref := range value {
				found = append(found, need{ref, privilege})
			}
		}
	}
	slices.SortFunc(found, func(a, b need) int { return strings.Compare(a.privilege, b.privilege) })
	return found
}

// creationNeeds lists the privileges of a specification that are also required when the VM is created. An import creates all disks.
func (s *Simulator) creationNeeds(place types.ManagedObjectReference, spec *types.VirtualMachineConfigSpec, imported bool) []need {
	var found []need
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec()
		if _, ok := device.Device.(*types.VirtualDisk); !ok {
			continue
		}
		privilege := "VirtualMachine.Config.AddExistingDisk"
		if imported || device.FileOperation != "" {
			privilege = "VirtualMachine.Config.AddNewDisk"
		}
		found = append(found, need{place, privilege})
	}
	if len(spec.ExtraConfig) > 0 {
		found = append(found, need{place, "VirtualMachine.Config.AdvancedConfig"})
	}
	return found
}

// specPrivileges has the privilege that changing a property of a VM requires; properties with "" need none.
var specPrivileges = map[string]string{
	"Name": "VirtualMachine.Config.Rename", "Annotation": "VirtualMachine.Config.Annotation",
	"NumCPUs": "VirtualMachine.Config.CPUCount", "NumCoresPerSocket": "VirtualMachine.Config.CPUCount",
	"CpuHotAddEnabled": "VirtualMachine.Config.CPUCount", "CpuHotRemoveEnabled": "VirtualMachine.Config.CPUCount",
	"MemoryMB": "VirtualMachine.Config.Memory", "MemoryHotAddEnabled": "VirtualMachine.Config.Memory",
	"CpuAllocation": "VirtualMachine.Config.Resource", "MemoryAllocation": "VirtualMachine.Config.Resource",
	"LatencySensitivity": "VirtualMachine.Config.Resource", "CpuAffinity": "VirtualMachine.Config.Resource",
	"MemoryAffinity": "VirtualMachine.Config.Resource", "NetworkShaper": "VirtualMachine.Config.Resource",
	"MemoryReservationLockedToMax": "VirtualMachine.Config.Resource",
	"ExtraConfig":                  "VirtualMachine.Config.AdvancedConfig", "SwapPlacement": "VirtualMachine.Config.SwapPlacement",
	"ChangeTrackingEnabled": "VirtualMachine.Config.ChangeTracking", "ManagedBy": "VirtualMachine.Config.ManagedBy",
	"MaxMksConnections": "VirtualMachine.Config.MksControl", "GuestAutoLockEnabled": "VirtualMachine.Config.MksControl",
	"ScheduledHardwareUpgradeInfo": "VirtualMachine.Config.UpgradeVirtualHardware",
	"VAppConfig":                   "VApp.InstanceConfig", "ChangeVersion": "", "DeviceChange": "", "VmProfile": "StorageProfile.View",
}

// reconfigureNeeds lists the privileges of a specification that changes a VM. Settings are all properties without a privilege of their own.
func reconfigureNeeds(vm types.ManagedObjectReference, spec *types.VirtualMachineConfigSpec) []need {
	var found []need
	value := reflect.ValueOf(spec).Elem()
	for i := range value.NumField() {
		if value.Field(i).IsZero() {
			continue
		}
		privilege, known := specPrivileges[value.Type().Field(i).Name]
		if !known {
			privilege = "VirtualMachine.Config.Settings"
		}
		if privilege != "" {
			found = append(found, need{vm, privilege})
		}
	}
	for _, change := range spec.DeviceChange {
		found = append(found, need{vm, devicePrivilege(change.GetVirtualDeviceConfigSpec())})
	}
	return found
}

func devicePrivilege(change *types.VirtualDeviceConfigSpec) string {
	switch device := change.Device.(type) {
	case *types.VirtualDisk:
		switch {
		case change.Operation == types.VirtualDeviceConfigSpecOperationRemove:
			return "VirtualMachine.Config.RemoveDisk"
		case change.Operation == types.VirtualDeviceConfigSpecOperationEdit:
			return "VirtualMachine.Config.EditDevice"
		case change.FileOperation != "":
			return "VirtualMachine.Config.AddNewDisk"
		}
		return "VirtualMachine.Config.AddExistingDisk"
	case *types.VirtualCdrom:
		if change.Operation == types.VirtualDeviceConfigSpecOperationEdit {
			return "VirtualMachine.Interact.SetCDMedia"
		}
	case *types.VirtualFloppy:
		if change.Operation == types.VirtualDeviceConfigSpecOperationEdit {
			return "VirtualMachine.Interact.SetFloppyMedia"
		}
	default:
		if change.Operation == types.VirtualDeviceConfigSpecOperationEdit && device != nil {
			return "VirtualMachine.Config.EditDevice"
		}
	}
	return "VirtualMachine.Config.AddRemoveDevice"
}

// resourceNeeds lists the privileges on the datastores and networks that a specification names.
func (s *Simulator) resourceNeeds(datacenter *simulator.Datacenter, spec *types.VirtualMachineConfigSpec) []need {
	var found []need
	if datacenter == nil {
		return nil
	}
	file := func(name string) {
		var p object.DatastorePath
		if !p.FromString(name) {
			return
		}
		if datastore := s.registry().FindByName(p.Datastore, datacenter.Datastore); datastore != nil {
			found = append(found, need{datastore.Reference(), "Datastore.AllocateSpace"})
		}
	}
	if spec.Files != nil {
		file(spec.Files.VmPathName)
	}
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec()
		if device.Device == nil {
			continue
		}
		switch backing := device.Device.GetVirtualDevice().Backing.(type) {
		case *types.VirtualEthernetCardNetworkBackingInfo:
			if network := s.registry().FindByName(backing.DeviceName, datacenter.Network); network != nil {
				found = append(found, need{network.Reference(), "Network.Assign"})
			}
		case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
			for _, ref := range datacenter.Network {
				if ref.Value == backing.Port.PortgroupKey {
					found = append(found, need{ref, "Network.Assign"})
				}
			}
		case types.BaseVirtualDeviceFileBackingInfo:
			if _, ok := device.Device.(*types.VirtualDisk); ok && device.FileOperation != "" {
				file(backing.GetVirtualDeviceFileBackingInfo().FileName)
			}
		}
	}
	return found
}

// grant is a permission of the control endpoint. The entity is an inventory path ("/" is the root folder) or a managed object ID.
type grant struct {
	Entity     string   `json:"entity"`
	Privileges []string `json:"privileges"`
	Propagate  bool     `json:"propagate"`
}

// controlUser creates a user with permissions, or replaces the permissions of one.
func (s *Simulator) controlUser(r *http.Request) (any, error) {
	var req struct {
		Username    string  `json:"username"`
		Password    string  `json:"password"`
		Permissions []grant `json:"permissions"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if req.Username == "" || req.Username == s.options.username || req.Password == "" {
		return nil, errors.New("a user needs a password and a name that is not the administrator's")
	}
	added := &account{password: req.Password, permissions: map[types.ManagedObjectReference]permission{}}
	for _, given := range req.Permissions {
		ref, err := s.entityNamed(given.Entity)
		if err != nil {
			return nil, err
		}
		privileges := map[string]bool{}
		if given.Privileges != nil {
			for _, privilege := range slices.Concat(systemPrivileges, given.Privileges) {
				privileges[privilege] = true
			}
		}
		added.permissions[ref] = permission{privileges, given.Propagate}
	}
	s.accounts.set(req.Username, added)
	return nil, nil
}

// entityNamed finds an inventory object by its path or its managed object ID.
func (s *Simulator) entityNamed(name string) (types.ManagedObjectReference, error) {
	root := s.entityOf(types.ManagedObjectReference{})
	if name == "/" {
		return root, nil
	}
	for _, entity := range s.registry().All("") {
		if ref := entity.Reference(); ref.Value == name || s.entityPath(ref, root) == name {
			return ref, nil
		}
	}
	return root, fmt.Errorf("there is no inventory object %q", name)
}

func (s *Simulator) entityPath(ref, root types.ManagedObjectReference) string {
	names := ""
	for ref != root {
		entity, ok := s.registry().Get(ref).(mo.Entity)
		if !ok || entity.Entity().Parent == nil {
			break
		}
		names, ref = "/"+entity.Entity().Name+names, *entity.Entity().Parent
	}
	return names
}
