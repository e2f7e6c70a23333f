// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/pbm"
	pbmmethods "github.com/vmware/govmomi/pbm/methods"
	pbmsim "github.com/vmware/govmomi/pbm/simulator"
	pbmtypes "github.com/vmware/govmomi/pbm/types"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type (
	storageOverride struct {
		*override
		manager *simulator.StorageResourceManager
	}
	profileOverride struct {
		*override
		manager *pbmsim.ProfileManager
	}
	solverOverride struct {
		*override
		solver *pbmsim.PlacementSolver
	}
)

// profileView is the privilege to find storage policies.
const profileView = "StorageProfile.View"

// policies are the storage policies of VMs: of the VM home, and of disks by their key.
type policies struct {
	mu    sync.Mutex
	homes map[types.ManagedObjectReference]string
	disks map[types.ManagedObjectReference]map[int32]string
}

func (p *policies) set(vm types.ManagedObjectReference, home string, disks map[int32]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.homes == nil {
		p.homes, p.disks = map[types.ManagedObjectReference]string{}, map[types.ManagedObjectReference]map[int32]string{}
	}
	p.homes[vm], p.disks[vm] = home, disks
}

func (p *policies) of(vm types.ManagedObjectReference) (string, map[int32]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.homes[vm], p.disks[vm]
}

// storageProfiles are the requirement profiles that PBM knows, by ID.
func (s *Simulator) storageProfiles() map[string]string {
	found := map[string]string{}
	registry := s.service.Context.For(pbm.Path).Map
	if registry == nil {
		return found
	}
	manager := types.ManagedObjectReference{Type: "PbmProfileProfileManager", Value: "ProfileManager"}
	profiles, ok := registry.Get(manager).(*pbmsim.ProfileManager)
	if !ok {
		return found
	}
	details, ok := profiles.PbmQueryProfileDetails(new(pbmtypes.PbmQueryProfileDetails)).(*pbmmethods.PbmQueryProfileDetailsBody)
	if !ok {
		return found
	}
	for _, detail := range details.Res.Returnval {
		profile := detail.Profile.GetPbmCapabilityProfile()
		found[profile.ProfileId.UniqueId] = profile.Name
	}
	return found
}

// profileID returns the storage policy of a spec, or "".
func profileID(profiles []types.BaseVirtualMachineProfileSpec) string {
	for _, profile := range profiles {
		if defined, ok := profile.(*types.VirtualMachineDefinedProfileSpec); ok {
			return defined.ProfileId
		}
	}
	return ""
}

// checkPolicies refuses storage policies that do not exist.
func (s *Simulator) checkPolicies(spec *types.VirtualMachineConfigSpec) types.BaseMethodFault {
	ids := []string{profileID(spec.VmProfile)}
	for _, change := range spec.DeviceChange {
		ids = append(ids, profileID(change.GetVirtualDeviceConfigSpec().Profile))
	}
	known := s.storageProfiles()
	for _, id := range ids {
		if id != "" && known[id] == "" {
			return &types.InvalidArgument{InvalidProperty: "profileId"}
		}
	}
	return nil
}

// keepPolicies returns a function that remembers the storage policies of the VM of a spec; vcsim
// changes the spec.
func (s *Simulator) keepPolicies(spec *types.VirtualMachineConfigSpec) func(*simulator.Context, *simulator.VirtualMachine) {
	home, ids := profileID(spec.VmProfile), []string{}
	for _, change := range spec.DeviceChange {
		device := change.GetVirtualDeviceConfigSpec()
		if _, ok := device.Device.(*types.VirtualDisk); ok {
			ids = append(ids, profileID(device.Profile))
		}
	}
	return func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		disks := map[int32]string{}
		for i, disk := range s.disks(vm, s.devicesOf(ctx, vm)) {
			if i < len(ids) && ids[i] != "" {
				disks[disk.device.Key] = ids[i]
			}
		}
		s.policies.set(vm.Self, home, disks)
	}
}

// storesOf returns the datastores that a spec names.
func (s *Simulator) storesOf(spec *types.VirtualMachineConfigSpec, datacenter *simulator.Datacenter) []types.ManagedObjectReference {
	var file object.DatastorePath
	if spec.Files == nil || datacenter == nil || !file.FromString(spec.Files.VmPathName) {
		return nil
	}
	if store, ok := s.registry().FindByName(file.Datastore, datacenter.Datastore).(*simulator.Datastore); ok {
		return []types.ManagedObjectReference{store.Self}
	}
	return nil
}

// handleStorage is the hook of PBM's registry: it sees every call of PBM.
func (s *Simulator) handleStorage(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	root := s.service.Context.For(vim25.Path).Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance).Content.RootFolder
	if user := s.restricted(ctx); user != nil && method.Name != "PbmRetrieveServiceContent" && !s.held(user, root, profileView) {
		return nil, &types.NoPermission{Object: &root, PrivilegeId: profileView}
	}
	base := &override{sim: s, Self: types.ManagedObjectReference{Type: "Override", Value: method.This.Value}}
	target := any(ctx.Map.Get(method.This))
	switch manager := target.(type) {
	case *pbmsim.ProfileManager:
		if method.Name == "PbmQueryAssociatedProfile" {
			method.This = base.Self
			return &profileOverride{base, manager}, nil
		}
	case *pbmsim.PlacementSolver:
		if method.Name == "PbmCheckCompatibility" {
			method.This = base.Self
			return &solverOverride{base, manager}, nil
		}
	}
	return nil, nil
}

// PbmQueryAssociatedProfile returns the storage policy of a VM home or of a disk.
func (o *profileOverride) PbmQueryAssociatedProfile(req *pbmtypes.PbmQueryAssociatedProfile) soap.HasFault {
	body := &pbmmethods.PbmQueryAssociatedProfileBody{Res: new(pbmtypes.PbmQueryAssociatedProfileResponse)}
	vm, key := req.Entity.Key, int32(0)
	if req.Entity.ObjectType == string(pbmtypes.PbmObjectTypeVirtualDiskId) {
		for i := range vm {
			if vm[i] == ':' {
				_, _ = fmt.Sscanf(vm[i+1:], "%d", &key)
				vm = vm[:i]
				break
			}
		}
	}
	id, disks := o.sim.policies.of(types.ManagedObjectReference{Type: "VirtualMachine", Value: vm})
	if key != 0 {
		id = disks[key]
	}
	if id != "" {
		body.Res.Returnval = []pbmtypes.PbmProfileId{{UniqueId: id}}
	}
	return body
}

// PbmCheckCompatibility reports an error for a datastore that the setting policy_datastores does not list for the profile.
func (o *solverOverride) PbmCheckCompatibility(req *pbmtypes.PbmCheckCompatibility) soap.HasFault {
	body := new(pbmmethods.PbmCheckCompatibilityBody)
	name, ok := o.sim.storageProfiles()[req.Profile.UniqueId]
	if !ok {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: profile", &types.InvalidArgument{InvalidProperty: "profile"})
		return body
	}
	body.Res = new(pbmtypes.PbmCheckCompatibilityResponse)
	allowed, limited := o.sim.settings.get().PolicyDatastores[name]
	for _, hub := range req.HubsToSearch {
		result := pbmtypes.PbmPlacementCompatibilityResult{Hub: hub}
		store := o.sim.entityName(types.ManagedObjectReference{Type: hub.HubType, Value: hub.HubId})
		if limited && !slices.Contains(allowed, store) {
			result.Error = []types.LocalizedMethodFault{
				*localized(new(pbmtypes.PbmCompatibilityCheckFault), "The datastore does not satisfy the requirements of the policy."),
			}
		}
		body.Res.Returnval = append(body.Res.Returnval, result)
	}
	return body
}

// RecommendDatastores recommends the accessible datastores that are not in maintenance mode, most free space first.
func (o *storageOverride) RecommendDatastores(ctx *simulator.Context, req *types.RecommendDatastores) soap.HasFault {
	res := o.manager.RecommendDatastores(ctx, req)
	body, ok := res.(*methods.RecommendDatastoresBody)
	if !ok || body.Res == nil {
		return res
	}
	free := func(r types.ClusterRecommendation) int64 {
		action, ok := r.Action[0].(*types.StoragePlacementAction)
		if !ok {
			return -1
		}
		store, ok := o.sim.registry().Get(action.Destination).(*simulator.Datastore)
		if !ok || !store.Summary.Accessible || store.Summary.MaintenanceMode != string(types.DatastoreSummaryMaintenanceModeStateNormal) {
			return -1
		}
		return store.Summary.FreeSpace
	}
	kept := slices.DeleteFunc(body.Res.Returnval.Recommendations, func(r types.ClusterRecommendation) bool { return free(r) < 0 })
	slices.SortStableFunc(kept, func(a, b types.ClusterRecommendation) int { return cmp.Compare(free(b), free(a)) })
	body.Res.Returnval.Recommendations = kept
	return body
}

// controlDatastore changes what a datastore says about itself, and which hosts have it.
func (s *Simulator) controlDatastore(r *http.Request) (any, error) {
	var req struct {
		Name        string   `json:"name"` // name or managed object ID
		Rename      string   `json:"rename"`
		Free        *int64   `json:"free"`
		Accessible  *bool    `json:"accessible"`
		Maintenance *string  `json:"maintenance"` // "normal", "enteringMaintenance", "inMaintenance"
		Hosts       []string `json:"hosts"`       // names; empty: unchanged
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	for _, entity := range s.registry().All("Datastore") {
		store, ok := entity.(*simulator.Datastore)
		if !ok || (store.Name != req.Name && store.Self.Value != req.Name) {
			continue
		}
		if req.Rename != "" {
			store.Name, store.Summary.Name = req.Rename, req.Rename
		}
		if req.Free != nil {
			store.Summary.FreeSpace = *req.Free
		}
		if req.Accessible != nil {
			store.Summary.Accessible = *req.Accessible
		}
		if req.Maintenance != nil {
			store.Summary.MaintenanceMode = *req.Maintenance
		}
		if len(req.Hosts) > 0 {
			s.mountOn(store, req.Hosts)
		}
		return map[string]string{"moid": store.Self.Value}, nil
	}
	return nil, fmt.Errorf("there is no datastore %q", req.Name)
}

// mountOn lets only some hosts have a datastore.
func (s *Simulator) mountOn(store *simulator.Datastore, hosts []string) {
	ctx, registry := s.newContext(), s.registry()
	compute := map[types.ManagedObjectReference]bool{}
	for _, entity := range registry.All("HostSystem") {
		host := entity.(*simulator.HostSystem)
		mounted := slices.Contains(hosts, host.Name)
		compute[*host.Parent] = compute[*host.Parent] || mounted
		host.Datastore = slices.Clone(host.Datastore) // vcsim may let hosts share the memory of their lists
		registry.RemoveReference(ctx, host, &host.Datastore, store.Self)
		if mounted {
			registry.AddReference(ctx, host, &host.Datastore, store.Self)
		}
	}
	store.Host = slices.DeleteFunc(store.Host, func(mount types.DatastoreHostMount) bool {
		return !slices.Contains(hosts, s.entityName(mount.Key))
	})
	for ref, mounted := range compute {
		var list *[]types.ManagedObjectReference
		object := registry.Get(ref)
		switch resource := object.(type) {
		case *simulator.ClusterComputeResource:
			list = &resource.Datastore
		case *mo.ComputeResource:
			list = &resource.Datastore
		default:
			continue
		}
		*list = slices.Clone(*list)
		registry.RemoveReference(ctx, object, list, store.Self)
		if mounted {
			registry.AddReference(ctx, object, list, store.Self)
		}
	}
}
