// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// controlMux is the loopback endpoint through which tests look behind the scenes.
func (s *Simulator) controlMux() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			value, err := f(r)
			w.Header().Set("Content-Type", "application/json")
			if err != nil {
				w.WriteHeader(http.StatusBadRequest)
				value = map[string]string{"error": err.Error()}
			}
			_ = json.NewEncoder(w).Encode(value)
		})
	}
	handle("GET /{$}", func(*http.Request) (any, error) { return s.info(), nil })
	handle("GET /journal", func(r *http.Request) (any, error) {
		after, _ := strconv.Atoi(r.URL.Query().Get("after"))
		return s.journal.list(after), nil
	})
	handle("DELETE /journal", func(*http.Request) (any, error) { s.journal.clear(); return nil, nil })
	handle("GET /rules", func(*http.Request) (any, error) { return s.rules.list(), nil })
	handle("POST /rules", func(r *http.Request) (any, error) {
		added := new(rule)
		if err := decode(r, added); err != nil {
			return nil, err
		}
		return added, s.rules.add(added)
	})
	handle("DELETE /rules", func(*http.Request) (any, error) { s.rules.remove(0); return nil, nil })
	handle("DELETE /rules/{id}", func(r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err == nil && id > 0 {
			s.rules.remove(id)
		}
		return nil, err
	})
	handle("POST /rules/{id}/release", func(r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			return nil, err
		}
		return nil, s.rules.release(id)
	})
	handle("GET /settings", func(*http.Request) (any, error) { return s.settings.get(), nil })
	handle("POST /settings", func(r *http.Request) (any, error) {
		changed := s.settings.get()
		if err := decode(r, &changed); err != nil {
			return nil, err
		}
		if err := changed.check(); err != nil {
			return nil, err
		}
		s.settings.set(changed)
		s.setRelease()
		s.showContents()
		return changed, nil
	})
	handle("POST /users", s.controlUser)
	handle("GET /leases", func(*http.Request) (any, error) { return s.listLeases(), nil })
	handle("POST /leases/expire", s.controlExpire)
	handle("POST /sessions/expire", func(*http.Request) (any, error) {
		return map[string]int{"ended": s.endSessions()}, nil
	})
	handle("POST /restart", func(r *http.Request) (any, error) {
		var req struct {
			DownMS int    `json:"down_ms"`
			Leases string `json:"leases"`
		}
		if err := decode(r, &req); err != nil {
			return nil, err
		}
		if req.Leases == "" {
			req.Leases = "abort"
		}
		if !slices.Contains([]string{"keep", "abort", "orphan"}, req.Leases) {
			return nil, fmt.Errorf("leases must be keep, abort or orphan, not %q", req.Leases)
		}
		s.restart(time.Duration(req.DownMS)*time.Millisecond, req.Leases)
		return nil, nil
	})
	handle("POST /reset", func(r *http.Request) (any, error) {
		var req struct {
			Keep []string `json:"keep"`
		}
		if err := decode(r, &req); err != nil {
			return nil, err
		}
		s.reset(req.Keep)
		return nil, nil
	})
	handle("POST /networks", s.controlNetwork)
	handle("POST /datastores", s.controlDatastore)
	handle("GET /machines", func(*http.Request) (any, error) { return s.listMachines(), nil })
	handle("GET /base-vms", func(*http.Request) (any, error) { return s.baseInventory(), nil })
	handle("GET /disks", func(*http.Request) (any, error) { return s.listDisks(), nil })
	handle("PUT /disks", s.controlPutDisk)
	handle("GET /guests", func(*http.Request) (any, error) { return s.guests.list(), nil })
	handle("POST /guests", s.controlGuest)
	handle("POST /guestinfo", s.controlGuestinfo)
	handle("POST /hosts", s.controlHosts)
	return mux
}

// reset restores the initial state: rules, settings, journal and guests are forgotten, leases and
// sessions are ended, and VMs (except templates) and VM folders are removed, except those in keep.
func (s *Simulator) reset(keep []string) {
	s.rules.remove(0)
	s.settings.set(s.defaults())
	_ = s.addressHosts()
	s.busy.clear()
	s.setRelease()
	s.downMu.Lock()
	s.downUntil = time.Time{}
	s.downMu.Unlock()
	s.endLeases(nil, false, "The simulator was reset.")
	s.leases.forget()
	s.endSessions()
	s.guests.forgetRules()
	for _, entity := range s.registry().All("VirtualMachine") {
		vm, stays := s.vm(entity.Reference()), false
		if vm != nil {
			s.newContext().WithLock(vm, func() { stays = vm.Config.Template || slices.Contains(keep, vm.Name) })
		}
		if vm == nil || stays {
			continue
		}
		_, _ = s.wait(vm.PowerOffVMTask(s.newContext(), &types.PowerOffVM_Task{This: vm.Self}))
		s.destroy(vm.Self)
	}
	for _, entity := range s.registry().All("Datacenter") {
		datacenter, _ := entity.(*simulator.Datacenter)
		root, _ := s.registry().Get(datacenter.VmFolder).(*simulator.Folder)
		for _, child := range slices.Clone(root.ChildEntity) {
			folder, ok := s.registry().Get(child).(*simulator.Folder)
			if ok && !slices.Contains(keep, folder.Name) {
				_, _ = s.wait(folder.DestroyTask(s.newContext(), &types.Destroy_Task{This: child}))
			}
		}
	}
	s.journal.clear()
}

// forgetRules removes the rules of guests.
func (t *guestTable) forgetRules() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules = nil
}

func decode(r *http.Request, value any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 16<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (s *Simulator) controlExpire(r *http.Request) (any, error) {
	var req struct {
		Lease string `json:"lease"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	expired := 0
	for _, lease := range s.leases.list() {
		if req.Lease != "" && lease.Self.Value != req.Lease {
			continue
		}
		lease.mu.Lock()
		open := !lease.ended
		lease.mu.Unlock()
		if open {
			lease.expire()
			expired++
		}
	}
	return map[string]int{"expired": expired}, nil
}

type leaseView struct {
	ID       string            `json:"id"`
	VM       string            `json:"vm"`
	MoID     string            `json:"moid"`
	Kind     string            `json:"kind"` // "import" or "export"
	State    string            `json:"state"`
	Progress int32             `json:"progress"`
	Error    string            `json:"error,omitempty"`
	Locks    bool              `json:"locks"` // whether it locks its VM
	Moved    map[string]bool   `json:"moved"` // target -> all of it went over the wire
	Places   map[string]string `json:"places"`
}

func (s *Simulator) listLeases() []leaseView {
	views := []leaseView{}
	ctx := s.newContext()
	for _, lease := range s.leases.list() {
		view := leaseView{ID: lease.Self.Value, Kind: "export", Moved: map[string]bool{}, Places: map[string]string{}}
		if lease.imports {
			view.Kind = "import"
		}
		ctx.WithLock(lease, func() {
			view.State, view.Progress = string(lease.State), lease.TransferProgress
			if lease.Error != nil {
				view.Error = lease.Error.LocalizedMessage
			}
		})
		lease.mu.Lock()
		vm := lease.vm
		for target, device := range lease.devices {
			view.Moved[target], view.Places[target] = device.moved, device.key
		}
		lease.mu.Unlock()
		view.MoID, view.VM = vm.Value, s.entityName(vm)
		view.Locks = s.leases.holder(vm) == lease
		views = append(views, view)
	}
	return views
}

type machineView struct {
	Name       string   `json:"name"`
	MoID       string   `json:"moid"`
	Power      string   `json:"power"`
	Template   bool     `json:"template"`
	Snapshots  []string `json:"snapshots"`
	Annotation string   `json:"annotation"`
	Locked     bool     `json:"locked"`
	Disks      int      `json:"disks"`
}

func (s *Simulator) listMachines() []machineView {
	views := []machineView{}
	ctx := s.newContext()
	for _, entity := range s.registry().All("VirtualMachine") {
		vm, ok := entity.(*simulator.VirtualMachine)
		if !ok {
			continue
		}
		view := machineView{MoID: vm.Self.Value, Snapshots: []string{}, Locked: s.leases.holder(vm.Self) != nil}
		ctx.WithLock(vm, func() {
			view.Name, view.Power, view.Template = vm.Name, string(vm.Runtime.PowerState), vm.Config.Template
			view.Annotation = vm.Config.Annotation
			view.Disks = len(s.disks(vm, vm.Config.Hardware.Device))
			if vm.Snapshot != nil {
				view.Snapshots = snapshotNames(vm.Snapshot.RootSnapshotList, view.Snapshots)
			}
		})
		views = append(views, view)
	}
	sort.Slice(views, func(i, j int) bool { return views[i].Name < views[j].Name })
	return views
}

func snapshotNames(tree []types.VirtualMachineSnapshotTree, names []string) []string {
	for _, node := range tree {
		names = snapshotNames(node.ChildSnapshotList, append(names, node.Name))
	}
	return names
}

type diskView struct {
	VM       string `json:"vm"`
	MoID     string `json:"moid"`
	Index    int    `json:"index"`
	Place    string `json:"place"`
	File     string `json:"file"` // datastore path
	Size     int64  `json:"virtual_size"`
	Snapshot string `json:"snapshot,omitempty"` // its managed object ID; the others are current disks
	*blob           // absent when nothing was ever stored
}

func (s *Simulator) listDisks() []diskView {
	s.sweep()
	views := []diskView{}
	ctx := s.newContext()
	for _, entity := range s.registry().All("VirtualMachine") {
		if vm, ok := entity.(*simulator.VirtualMachine); ok {
			for i, disk := range s.disks(vm, s.devicesOf(ctx, vm)) {
				views = append(views, diskView{
					VM: vm.Name, MoID: vm.Self.Value, Index: i, Place: disk.place, File: disk.id.path, Size: disk.capacity,
					blob: s.store.contents([]diskID{disk.id})[disk.id],
				})
			}
		}
	}
	for _, object := range s.registry().AllReference("VirtualMachineSnapshot") {
		snapshot, ok := object.(*simulator.VirtualMachineSnapshot)
		vm := (*simulator.VirtualMachine)(nil)
		if ok {
			vm = s.vm(snapshot.Vm)
		}
		if vm == nil {
			continue
		}
		kept := s.store.snapshot(snapshot.Self)
		for i, disk := range s.disks(vm, snapshot.Config.Hardware.Device) {
			views = append(views, diskView{
				VM: vm.Name, MoID: vm.Self.Value, Index: i, Place: disk.place, File: disk.id.path, Size: disk.capacity,
				Snapshot: snapshot.Self.Value, blob: kept[disk.id],
			})
		}
	}
	sort.SliceStable(views, func(i, j int) bool { return views[i].VM < views[j].VM })
	return views
}

// controlPutDisk replaces the content of a disk of a powered-off VM with a local file.
func (s *Simulator) controlPutDisk(r *http.Request) (any, error) {
	var req struct {
		VM    string `json:"vm"`
		Index int    `json:"index"`
		Path  string `json:"path"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	vm := s.findVM(req.VM)
	if vm == nil {
		return nil, fmt.Errorf("there is no virtual machine %q", req.VM)
	}
	if !filepath.IsAbs(req.Path) {
		return nil, fmt.Errorf("%q is not an absolute path", req.Path)
	}
	ctx := s.newContext()
	disks := s.disks(vm, s.devicesOf(ctx, vm))
	if req.Index < 0 || req.Index >= len(disks) {
		return nil, fmt.Errorf("%q has no disk %d", req.VM, req.Index)
	}
	stored, err := s.store.importFile(req.Path)
	if err != nil {
		return nil, err
	}
	defer s.store.unpin(stored)
	if stored.Capacity != disks[req.Index].capacity {
		return nil, fmt.Errorf("the VMDK has a capacity of %d bytes, the disk one of %d", stored.Capacity, disks[req.Index].capacity)
	}
	s.store.put(disks[req.Index].id, stored)
	s.showContent(ctx, vm)
	return stored, nil
}

func (s *Simulator) controlGuest(r *http.Request) (any, error) {
	var req guestRule
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return nil, s.guests.setRule(req)
}

func (s *Simulator) controlGuestinfo(r *http.Request) (any, error) {
	var req struct {
		VM     string            `json:"vm"`
		Values map[string]string `json:"values"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	vm := s.findVM(req.VM)
	if vm == nil {
		return nil, fmt.Errorf("there is no virtual machine %q", req.VM)
	}
	return nil, s.setGuestinfo(vm, req.Values)
}
