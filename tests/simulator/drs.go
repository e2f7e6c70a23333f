// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type (
	datacenterOverride struct {
		*override
		datacenter *simulator.Datacenter
	}
	clusterOverride struct {
		*override
		cluster *simulator.ClusterComputeResource
	}
)

// recommendation is a host that DRS recommends for a VM and that a client has to approve.
type recommendation struct {
	cluster, vm, host types.ManagedObjectReference
}

// drs has the recommendations that were not applied yet.
type drs struct {
	mu      sync.Mutex
	last    int
	pending map[string]recommendation
}

func (d *drs) add(made recommendation) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending == nil {
		d.pending = map[string]recommendation{}
	}
	d.last++
	key := strconv.Itoa(d.last)
	d.pending[key] = made
	return key
}

func (d *drs) take(key string, cluster types.ManagedObjectReference) (recommendation, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	made, ok := d.pending[key]
	if !ok || made.cluster != cluster {
		return made, false
	}
	delete(d.pending, key)
	return made, true
}

// showDRS copies the settings of DRS to the property that the API calls deprecated, and that clients read.
func (s *Simulator) showDRS() {
	for _, entity := range s.registry().All("ClusterComputeResource") {
		if cluster, ok := entity.(*simulator.ClusterComputeResource); ok {
			s.showClusterDRS(cluster)
		}
	}
}

func (s *Simulator) showClusterDRS(cluster *simulator.ClusterComputeResource) {
	config := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
	if config.DrsConfig.DefaultVmBehavior == "" {
		config.DrsConfig.DefaultVmBehavior = types.DrsBehaviorFullyAutomated
	}
	s.newContext().WithLock(cluster, func() { cluster.Configuration.DrsConfig = config.DrsConfig })
}

// ReconfigureComputeResourceTask changes the cluster, with both properties that show the settings of DRS.
func (o *clusterOverride) ReconfigureComputeResourceTask(ctx *simulator.Context, req *types.ReconfigureComputeResource_Task) soap.HasFault {
	req.This = o.cluster.Self
	res := o.cluster.ReconfigureComputeResourceTask(ctx, req)
	_, _ = o.sim.wait(res)
	o.sim.showClusterDRS(o.cluster)
	return res
}

// drsOf returns the cluster of a VM or pool and its DRS behavior for the VM; "" without DRS.
func (s *Simulator) drsOf(compute mo.Reference, vm types.ManagedObjectReference) (*simulator.ClusterComputeResource, types.DrsBehavior) {
	cluster, ok := compute.(*simulator.ClusterComputeResource)
	if !ok {
		return nil, ""
	}
	config := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx)
	if enabled := config.DrsConfig.Enabled; enabled == nil || !*enabled {
		return cluster, ""
	}
	for _, own := range config.DrsVmConfig {
		if own.Key == vm && own.Behavior != "" {
			return cluster, own.Behavior
		}
	}
	return cluster, config.DrsConfig.DefaultVmBehavior
}

func (s *Simulator) computeOf(vm *simulator.VirtualMachine) mo.Reference {
	host, ok := s.registry().Get(*vm.Runtime.Host).(*simulator.HostSystem)
	if !ok {
		return nil
	}
	return s.registry().Get(*host.Parent)
}

// hostFault is why a VM cannot be made or powered on on a host; nil if it can.
func (s *Simulator) hostFault(ref types.ManagedObjectReference, powerOn bool) types.BaseMethodFault {
	host, ok := s.registry().Get(ref).(*simulator.HostSystem)
	switch {
	case !ok:
		return &types.ManagedObjectNotFound{Obj: ref}
	case host.Runtime.ConnectionState != types.HostSystemConnectionStateConnected:
		return &types.HostNotConnected{}
	case host.Runtime.InMaintenanceMode:
		return &types.InvalidHostState{Host: &ref}
	case powerOn && slices.Contains(s.settings.get().FullHosts, host.Name):
		return &types.InsufficientMemoryResourcesFault{Unreserved: 0, Requested: 4 << 30}
	}
	return nil
}

// usableHost returns the first host of a cluster on which a VM with files on a datastore can be placed.
func (s *Simulator) usableHost(cluster *simulator.ClusterComputeResource, datastores []types.ManagedObjectReference, powerOn bool) *types.ManagedObjectReference {
	for _, ref := range cluster.Host {
		host, ok := s.registry().Get(ref).(*simulator.HostSystem)
		if !ok || s.hostFault(ref, powerOn) != nil {
			continue
		}
		if !slices.ContainsFunc(datastores, func(store types.ManagedObjectReference) bool { return !slices.Contains(host.Datastore, store) }) {
			return &ref
		}
	}
	return nil
}

// importHost decides where ImportVApp makes a VM. Without a host, a stand-alone host is used, DRS (of any level)
// chooses in a cluster, and a cluster without DRS refuses.
func (s *Simulator) importHost(pool types.ManagedObjectReference, host *types.ManagedObjectReference, spec *types.VirtualMachineConfigSpec,
	datacenter *simulator.Datacenter) (*types.ManagedObjectReference, types.BaseMethodFault) {
	if host != nil {
		return host, s.hostFault(*host, false)
	}
	var owner types.ManagedObjectReference
	switch object := s.registry().Get(pool).(type) {
	case *simulator.ResourcePool:
		owner = object.Owner
	case *simulator.VirtualApp:
		owner = object.Owner
	}
	cluster, behavior := s.drsOf(s.registry().Get(owner), types.ManagedObjectReference{})
	if cluster == nil {
		compute, ok := s.registry().Get(owner).(*mo.ComputeResource)
		if !ok || len(compute.Host) == 0 {
			return nil, &types.InvalidArgument{InvalidProperty: "host"}
		}
		return &compute.Host[0], s.hostFault(compute.Host[0], false)
	}
	if behavior == "" {
		return nil, &types.InvalidArgument{InvalidProperty: "host"}
	}
	if chosen := s.usableHost(cluster, s.storesOf(spec, datacenter), false); chosen != nil {
		return chosen, nil
	}
	return nil, &types.NoCompatibleHost{}
}

// placeVM prepares PowerOnVM_Task. DRS moves the VM if it places VMs by itself; otherwise the VM has to start on its host.
func (s *Simulator) placeVM(vm *simulator.VirtualMachine, named *types.ManagedObjectReference) types.BaseMethodFault {
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn || vm.Config.Template {
		return nil
	}
	if named != nil {
		if fault := s.hostFault(*named, true); fault != nil {
			return fault
		}
		return s.move(vm, *named)
	}
	fault := s.hostFault(*vm.Runtime.Host, true)
	if fault == nil {
		return nil
	}
	cluster, behavior := s.drsOf(s.computeOf(vm), vm.Self)
	if behavior == "" || behavior == types.DrsBehaviorManual {
		return fault
	}
	host := s.usableHost(cluster, vm.Datastore, true)
	if host == nil {
		return fault
	}
	return s.move(vm, *host)
}

func (s *Simulator) move(vm *simulator.VirtualMachine, host types.ManagedObjectReference) types.BaseMethodFault {
	if *vm.Runtime.Host == host {
		return nil
	}
	spec := types.VirtualMachineRelocateSpec{Host: &host}
	_, fault := s.wait(vm.RelocateVMTask(s.newContext(), &types.RelocateVM_Task{This: vm.Self, Spec: spec}))
	return fault
}

// PowerOnMultiVMTask powers VMs on where DRS places them. As documented, only the VMs that DRS does not manage
// have a task in the result; VMs of level manual get a recommendation, unless the caller overrides the level.
func (o *datacenterOverride) PowerOnMultiVMTask(ctx *simulator.Context, req *types.PowerOnMultiVM_Task) soap.HasFault {
	level := types.DrsBehavior("")
	body := new(methods.PowerOnMultiVM_TaskBody)
	for _, option := range req.Option {
		value := option.GetOptionValue()
		text, _ := value.Value.(string)
		if behavior, ok := value.Value.(types.DrsBehavior); ok {
			text = string(behavior)
		}
		switch types.ClusterPowerOnVmOption(value.Key) {
		case types.ClusterPowerOnVmOptionOverrideAutomationLevel:
			level = types.DrsBehavior(text)
			if !slices.Contains([]types.DrsBehavior{types.DrsBehaviorManual, types.DrsBehaviorPartiallyAutomated, types.DrsBehaviorFullyAutomated}, level) {
				body.Fault_ = simulator.Fault("A specified parameter was not correct: option", &types.InvalidArgument{InvalidProperty: "option"})
				return body
			}
		case types.ClusterPowerOnVmOptionReserveResources:
		default:
			body.Fault_ = simulator.Fault("A specified parameter was not correct: option", &types.InvalidArgument{InvalidProperty: "option"})
			return body
		}
	}
	sim := o.sim
	if sim.settings.get().DRSOverride == "ignore" {
		level = ""
	}
	task := simulator.CreateTask(o.datacenter, "powerOnMultiVM", func(*simulator.Task) (types.AnyType, types.BaseMethodFault) {
		result := types.ClusterPowerOnVmResult{}
		for _, ref := range req.Vm {
			if vm := sim.vm(ref); vm != nil {
				sim.powerOnByDRS(vm, level, &result)
			}
		}
		return result, nil
	})
	body.Res = &types.PowerOnMultiVM_TaskResponse{Returnval: task.Run(ctx)}
	return body
}

func (s *Simulator) powerOnByDRS(vm *simulator.VirtualMachine, level types.DrsBehavior, result *types.ClusterPowerOnVmResult) {
	refuse := func(fault types.BaseMethodFault) {
		result.NotAttempted = append(result.NotAttempted, types.ClusterNotAttemptedVmInfo{
			Vm: vm.Self, Fault: *localized(fault, "No host is compatible with the virtual machine."),
		})
	}
	if fault := s.locked(vm, "PowerOnVM_Task"); fault != nil {
		refuse(fault)
		return
	}
	cluster, behavior := s.drsOf(s.computeOf(vm), vm.Self)
	managed := behavior != ""
	if level != "" {
		behavior = level
	}
	if managed {
		host := s.usableHost(cluster, vm.Datastore, true)
		if host == nil {
			refuse(&types.NoCompatibleHost{})
			return
		}
		if behavior == types.DrsBehaviorManual {
			key := s.drs.add(recommendation{cluster.Self, vm.Self, *host})
			result.Recommendations = append(result.Recommendations, types.ClusterRecommendation{
				Key: key, Type: "V1", Time: time.Now(), Rating: 5, Reason: "powerOnVm", ReasonText: "Power on virtual machine",
				Target: &cluster.Self,
				Action: []types.BaseClusterAction{&types.ClusterInitialPlacementAction{
					ClusterAction: types.ClusterAction{Type: "PlacementV1", Target: &vm.Self}, TargetHost: *host,
				}},
			})
			return
		}
		if fault := s.move(vm, *host); fault != nil {
			refuse(fault)
			return
		}
	}
	attempted := types.ClusterAttemptedVmInfo{Vm: vm.Self}
	if fault := s.placeVM(vm, nil); fault != nil {
		task := s.startTask(vm, "powerOn")
		task.end(nil, localized(fault, "The operation is not allowed in the current state of the host."))
		attempted.Task = &task.task.Self
	} else if ref := s.startVM(vm); !managed {
		attempted.Task = ref
	}
	result.Attempted = append(result.Attempted, attempted)
}

// startVM powers a VM on and returns the task.
func (s *Simulator) startVM(vm *simulator.VirtualMachine) *types.ManagedObjectReference {
	body, ok := vm.PowerOnVMTask(s.newContext(), &types.PowerOnVM_Task{This: vm.Self}).(*methods.PowerOnVM_TaskBody)
	if !ok || body.Res == nil {
		return nil
	}
	return &body.Res.Returnval
}

// ApplyRecommendation places and starts the VM of a recommendation of PowerOnMultiVM_Task.
func (o *clusterOverride) ApplyRecommendation(_ *simulator.Context, req *types.ApplyRecommendation) soap.HasFault {
	body := new(methods.ApplyRecommendationBody)
	made, ok := o.sim.drs.take(req.Key, o.cluster.Self)
	vm := o.sim.vm(made.vm)
	if !ok || vm == nil {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: key", &types.InvalidArgument{InvalidProperty: "key"})
		return body
	}
	if fault := o.sim.move(vm, made.host); fault != nil {
		body.Fault_ = simulator.Fault("The recommendation cannot be applied.", fault)
		return body
	}
	_ = o.sim.startVM(vm)
	body.Res = new(types.ApplyRecommendationResponse)
	return body
}
