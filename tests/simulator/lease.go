// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// Lease is an HttpNfcLease with the life of a real one: it locks its VM, it expires without
// progress, it keeps its end state, and an import that fails leaves no VM behind.
type Lease struct {
	mo.HttpNfcLease

	sim     *Simulator
	imports bool
	session string // key of the session that opened it
	timeout time.Duration
	task    *longTask
	devices map[string]*leaseDevice // by target
	order   []string

	mu     sync.Mutex // guards what follows, and the devices' content
	vm     types.ManagedObjectReference
	timer  *time.Timer
	open   bool // ready for clients; the devices do not change any more
	ended  bool
	expiry bool
	orphan bool // its VM is not removed when it ends
}

func (l *Lease) isOrphan() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.orphan
}

// vmReference returns the VM of the lease; an import has none at first.
func (l *Lease) vmReference() types.ManagedObjectReference {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.vm
}

// leaseDevice is one file that goes over a lease.
type leaseDevice struct {
	key, importKey, target string
	disk                   *vmDisk // nil for a file that is not a disk
	content                []byte  // of such a file
	stored                 *blob   // what is served, or what was uploaded
	moved                  bool    // all of it went over the wire
}

func (s *Simulator) newLease(ctx *simulator.Context, imports bool, task *longTask) *Lease {
	lease := &Lease{
		sim: s, imports: imports, task: task, session: ctx.Session.Key, devices: map[string]*leaseDevice{},
		timeout: s.settings.leaseTimeout(),
	}
	lease.Self.Type = "HttpNfcLease"
	lease.State = types.HttpNfcLeaseStateInitializing
	lease.Mode = string(types.HttpNfcLeaseModePushOrGet)
	ctx.Session.Put(lease)
	s.leases.add(lease)
	return lease
}

// add gives the lease a device of the VM; name is its file name on the datastore.
func (l *Lease) add(vm *simulator.VirtualMachine, disk *vmDisk, name string, content []byte, stored *blob) {
	where := "nvram"
	if disk != nil {
		where = disk.place
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	target := name
	for n := 1; l.devices[target] != nil; n++ {
		target = fmt.Sprintf("%d-%s", n, name)
	}
	l.devices[target] = &leaseDevice{
		key:       "/" + vm.Self.Value + "/" + where,
		importKey: "/" + vm.Name + "/" + where,
		target:    target, disk: disk, content: content, stored: stored,
	}
	l.order = append(l.order, target)
}

// ready publishes the device URLs to the client and starts the timeout.
func (l *Lease) ready(vm types.ManagedObjectReference) {
	ctx := l.sim.newContext()
	base, print := l.sim.nfcEndpoint()
	info := &types.HttpNfcLeaseInfo{Lease: l.Self, Entity: vm, LeaseTimeout: int32(l.timeout / time.Second)}
	for _, target := range l.order {
		device := l.devices[target]
		address := url.URL{Scheme: base.Scheme, Host: base.Host, Path: path.Join("/nfc", l.Self.Value, target)}
		isDisk := device.disk != nil
		item := types.HttpNfcLeaseDeviceUrl{
			Key: device.key, ImportKey: device.importKey, Url: address.String(), SslThumbprint: print,
			Disk: &isDisk, TargetId: target, FileSize: int64(len(device.content)),
		}
		if isDisk {
			info.TotalDiskCapacityInKB += device.disk.capacity / 1024
			var file object.DatastorePath
			file.FromString(device.disk.id.path)
			item.DatastoreKey = base.Scheme + "://" + base.Host + "/nfc/ds:" + file.Datastore
		}
		info.DeviceUrl = append(info.DeviceUrl, item)
	}
	l.mu.Lock()
	l.vm = vm
	if l.ended {
		l.mu.Unlock()
		return
	}
	l.open = true
	l.timer = time.AfterFunc(l.timeout, l.expire)
	l.mu.Unlock()
	l.update(ctx,
		types.PropertyChange{Name: "initializeProgress", Val: int32(100)},
		types.PropertyChange{Name: "info", Val: info},
		types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateReady})
}

func (l *Lease) update(ctx *simulator.Context, changes ...types.PropertyChange) {
	ctx.WithLock(l, func() { ctx.Update(l, changes) })
}

// end closes the lease once and returns whether this call closed it.
func (l *Lease) end() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return false
	}
	l.ended = true
	if l.timer != nil {
		l.timer.Stop()
	}
	return true
}

// fail ends the lease in error; the VM of an import goes away with it.
func (l *Lease) fail(ctx *simulator.Context, fault types.BaseMethodFault, message string) {
	if !l.end() {
		return
	}
	problem := localized(fault, message)
	l.release()
	if l.imports && !l.isOrphan() {
		l.sim.destroy(l.vmReference())
	}
	l.update(ctx,
		types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateError},
		types.PropertyChange{Name: "error", Val: problem})
	if l.task != nil {
		l.task.end(nil, problem)
	}
}

// release unlocks the VM and lets go of the stored files.
func (l *Lease) release() {
	l.sim.leases.unlock(l)
	l.sim.showDisabledMethods(l.vmReference())
	for _, device := range l.devices {
		l.mu.Lock()
		stored := device.stored
		l.mu.Unlock()
		l.sim.store.unpin(stored)
	}
}

func (l *Lease) expire() {
	l.mu.Lock()
	l.expiry = true
	l.mu.Unlock()
	l.fail(l.sim.newContext(), new(types.Timedout), "The lease timed out: no progress was reported in time.")
}

// endLeases ends open leases of sessions, or all with nil; orphans keep the VM of an import.
func (s *Simulator) endLeases(sessions []string, orphan bool, message string) {
	for _, lease := range s.leases.list() {
		if sessions != nil && !slices.Contains(sessions, lease.session) {
			continue
		}
		lease.mu.Lock()
		lease.orphan = orphan
		lease.mu.Unlock()
		lease.fail(s.newContext(), &types.SystemError{Reason: message}, message)
	}
}

// unusable is the fault of a call on a lease that is not ready.
func (l *Lease) unusable() *soap.Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.expiry:
		return simulator.Fault("The lease timed out.", new(types.Timedout))
	case l.ended || !l.open:
		return simulator.Fault("The operation is not allowed in the lease's current state.", new(types.InvalidState))
	}
	return nil
}

// HttpNfcLeaseProgress keeps the lease alive.
func (l *Lease) HttpNfcLeaseProgress(ctx *simulator.Context, req *types.HttpNfcLeaseProgress) soap.HasFault {
	body := new(methods.HttpNfcLeaseProgressBody)
	if req.Percent < 0 || req.Percent > 100 {
		body.Fault_ = simulator.Fault("A specified parameter was not correct: percent",
			&types.InvalidArgument{InvalidProperty: "percent"})
		return body
	}
	if body.Fault_ = l.unusable(); body.Fault_ != nil {
		return body
	}
	l.mu.Lock()
	if l.timer != nil && !l.ended {
		l.timer.Reset(l.timeout)
	}
	l.mu.Unlock()
	l.update(ctx, types.PropertyChange{Name: "transferProgress", Val: req.Percent})
	if l.task != nil {
		l.task.progress(req.Percent)
	}
	body.Res = new(types.HttpNfcLeaseProgressResponse)
	return body
}

// HttpNfcLeaseComplete ends the lease well.
func (l *Lease) HttpNfcLeaseComplete(ctx *simulator.Context, req *types.HttpNfcLeaseComplete) soap.HasFault {
	body := new(methods.HttpNfcLeaseCompleteBody)
	if body.Fault_ = l.unusable(); body.Fault_ != nil {
		return body
	}
	if !l.end() {
		body.Fault_ = l.unusable()
		return body
	}
	l.sim.hold(l.vmReference(), l.sim.settings.get().UnlockDelayMS, l.task)
	l.release()
	l.update(ctx, types.PropertyChange{Name: "state", Val: types.HttpNfcLeaseStateDone})
	if l.task != nil {
		l.task.end(l.vmReference(), nil)
	}
	body.Res = new(types.HttpNfcLeaseCompleteResponse)
	return body
}

// HttpNfcLeaseAbort ends the lease and removes the objects of an import.
func (l *Lease) HttpNfcLeaseAbort(ctx *simulator.Context, req *types.HttpNfcLeaseAbort) soap.HasFault {
	body := new(methods.HttpNfcLeaseAbortBody)
	l.mu.Lock()
	initializing := !l.open && !l.ended
	l.mu.Unlock()
	if body.Fault_ = l.unusable(); body.Fault_ != nil && !initializing {
		return body
	}
	body.Fault_ = nil
	var fault types.BaseMethodFault = new(types.RequestCanceled)
	message := "The task was canceled by a user."
	if req.Fault != nil && req.Fault.Fault != nil {
		fault, message = req.Fault.Fault, req.Fault.LocalizedMessage
	}
	l.fail(ctx, fault, message)
	body.Res = new(types.HttpNfcLeaseAbortResponse)
	return body
}

// HttpNfcLeaseGetManifest returns the checksums of all complete transfers.
func (l *Lease) HttpNfcLeaseGetManifest(ctx *simulator.Context, req *types.HttpNfcLeaseGetManifest) soap.HasFault {
	body := new(methods.HttpNfcLeaseGetManifestBody)
	if body.Fault_ = l.unusable(); body.Fault_ != nil {
		return body
	}
	body.Res = new(types.HttpNfcLeaseGetManifestResponse)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, target := range l.order {
		device := l.devices[target]
		if !device.moved || device.disk == nil || device.stored == nil {
			continue
		}
		body.Res.Returnval = append(body.Res.Returnval, types.HttpNfcLeaseManifestEntry{
			Key: device.key, Sha1: device.stored.SHA1, Checksum: device.stored.SHA256,
			ChecksumType: string(types.HttpNfcLeaseManifestEntryChecksumTypeSha256),
			Size:         device.stored.Size, Disk: true,
			Capacity: device.stored.Capacity, PopulatedSize: device.stored.Populated,
		})
	}
	if l.imports {
		body.Res.Returnval = l.sim.importManifest(body.Res.Returnval)
	}
	return body
}

// leaseTable knows every lease and which VM it locks.
type leaseTable struct {
	mu    sync.Mutex
	all   []*Lease
	locks map[types.ManagedObjectReference]*Lease
}

func (t *leaseTable) add(lease *Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, lease)
}

// forget drops the leases that have ended.
func (t *leaseTable) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = slices.DeleteFunc(t.all, func(lease *Lease) bool {
		lease.mu.Lock()
		defer lease.mu.Unlock()
		return lease.ended
	})
}

func (t *leaseTable) find(id string) *Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, lease := range t.all {
		if lease.Self.Value == id {
			return lease
		}
	}
	return nil
}

func (t *leaseTable) list() []*Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]*Lease(nil), t.all...)
}

// lock gives a VM to a lease unless a different lease holds it.
func (t *leaseTable) lock(vm types.ManagedObjectReference, lease *Lease) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.locks[vm] != nil {
		return false
	}
	if t.locks == nil {
		t.locks = map[types.ManagedObjectReference]*Lease{}
	}
	t.locks[vm] = lease
	return true
}

func (t *leaseTable) unlock(lease *Lease) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for vm, holder := range t.locks {
		if holder == lease {
			delete(t.locks, vm)
		}
	}
}

func (t *leaseTable) holder(vm types.ManagedObjectReference) *Lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.locks[vm]
}
