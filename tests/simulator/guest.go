// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	rebootCode  = 194 // exit status that asks for a reboot: the low byte of Windows' 3010
	outputLimit = 64 << 10
	runVariable = "STRATA_GUEST_RUN"
)

// Modes of a guest.
const (
	guestRun  = "run"  // run the command, power off when it ends
	guestHang = "hang" // tools run, nothing else ever happens
	guestExit = "exit" // power off at once, as a guest whose work is done
	guestOff  = "off"  // no guest: the VM stays on, without tools
	guestStop = "stop" // Windows stopped, because it has no boot driver for its disk: as off
)

// guestRule defines the guest of a VM.
type guestRule struct {
	VM      string `json:"vm"` // name or managed object ID; empty is every VM
	Mode    string `json:"mode"`
	Command string `json:"command"`
	DelayMS int    `json:"delay_ms"` // how long the VM boots
}

// guestRunState is one run of a guest, from power on to power off.
type guestRunState struct {
	vm      types.ManagedObjectReference
	name    string
	rule    guestRule
	started time.Time
	done    chan struct{}
	stop    chan struct{}

	mu      sync.Mutex // guards what follows
	stopped bool
	reboot  bool
	boots   int
	process *os.Process
	exit    *int
	output  []byte
	ended   time.Time
}

// guestTable knows the rules and the runs.
type guestTable struct {
	sim *Simulator

	mu      sync.Mutex
	rules   []guestRule
	current map[types.ManagedObjectReference]*guestRunState
	runs    []*guestRunState
}

func newGuestTable(s *Simulator) *guestTable {
	return &guestTable{sim: s, current: map[types.ManagedObjectReference]*guestRunState{}}
}

// setRule adds a rule; the newest that fits a VM counts.
func (t *guestTable) setRule(r guestRule) error {
	if r.Mode == "" {
		r.Mode = guestRun
	}
	if !slices.Contains([]string{guestRun, guestHang, guestExit, guestOff}, r.Mode) {
		return fmt.Errorf("there is no guest mode %q", r.Mode)
	}
	if r.Mode == guestRun && r.Command == "" && t.sim.options.guest == "" {
		return errors.New("a guest that runs needs a command")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules = slices.DeleteFunc(t.rules, func(old guestRule) bool { return old.VM == r.VM })
	t.rules = append(t.rules, r)
	return nil
}

// rule finds the guest of a VM: its strata.guest, a rule for it, a rule for all, the flag.
func (t *guestTable) rule(vm types.ManagedObjectReference, name, wanted string) guestRule {
	found := guestRule{Mode: guestOff, Command: t.sim.options.guest}
	if found.Command != "" {
		found.Mode = guestRun
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, exact := range []bool{false, true} {
		for _, r := range t.rules {
			if (!exact && r.VM == "") || (exact && r.VM != "" && (r.VM == name || r.VM == vm.Value)) {
				command := found.Command
				if found = r; found.Command == "" {
					found.Command = command
				}
			}
		}
	}
	if slices.Contains([]string{guestHang, guestExit, guestOff}, wanted) {
		found.Mode = wanted
	} else if wanted == guestRun && found.Command != "" {
		found.Mode = guestRun
	}
	return found
}

// power receives a VM's power state while the VM is locked, so it must not wait.
func (t *guestTable) power(vm types.ManagedObjectReference, state types.VirtualMachinePowerState) {
	t.mu.Lock()
	before := t.current[vm]
	if state != types.VirtualMachinePowerStatePoweredOn {
		delete(t.current, vm)
		t.mu.Unlock()
		if before != nil {
			before.kill()
			go t.sim.setGuest(vm, false)
		}
		return
	}
	if before != nil {
		t.mu.Unlock()
		return
	}
	run := &guestRunState{vm: vm, started: time.Now(), done: make(chan struct{}), stop: make(chan struct{})}
	t.current[vm] = run
	var previous *guestRunState
	for _, other := range t.runs {
		if other.vm == vm {
			previous = other
		}
	}
	t.runs = append(t.runs, run)
	t.mu.Unlock()
	go func() {
		defer close(run.done)
		if previous != nil {
			<-previous.done
		}
		t.live(run)
	}()
}

// kill ends the run of a VM, if there is one.
func (t *guestTable) kill(vm types.ManagedObjectReference) {
	t.mu.Lock()
	run := t.current[vm]
	t.mu.Unlock()
	if run != nil {
		run.kill()
	}
}

// stopAll ends every run and waits until their processes have ended.
func (t *guestTable) stopAll() {
	t.mu.Lock()
	runs := append([]*guestRunState(nil), t.runs...)
	t.mu.Unlock()
	for _, run := range runs {
		run.kill()
	}
	limit := time.After(5 * time.Second)
	for _, run := range runs {
		select {
		case <-run.done:
		case <-limit:
			return
		}
	}
}

// kill ends the run immediately, as a power failure does.
func (r *guestRunState) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	r.stopped = true
	close(r.stop)
	if r.process != nil {
		_ = syscall.Kill(-r.process.Pid, syscall.SIGKILL)
	}
}

// terminate requests a shutdown or restart of the guest; it reports whether a guest is running.
func (t *guestTable) terminate(vm types.ManagedObjectReference, reboot bool) bool {
	t.mu.Lock()
	run := t.current[vm]
	t.mu.Unlock()
	if run == nil {
		return false
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	if slices.Contains([]string{guestOff, guestStop, ""}, run.rule.Mode) || run.stopped {
		return false
	}
	run.reboot = reboot
	if run.process != nil {
		_ = syscall.Kill(-run.process.Pid, syscall.SIGTERM)
	}
	return true
}

// live is the life of a guest.
func (t *guestTable) live(run *guestRunState) {
	s := t.sim
	ctx := s.newContext()
	vm := s.vm(run.vm)
	if vm == nil {
		return
	}
	extra := map[string]string{}
	var name string
	ctx.WithLock(vm, func() { // waits for the end of the task that powers on
		name = vm.Name
		for _, option := range vm.Config.ExtraConfig {
			value := option.GetOptionValue()
			extra[value.Key] = fmt.Sprint(value.Value)
		}
	})
	found := t.rule(run.vm, name, extra["strata.guest"])
	run.mu.Lock()
	run.name, run.rule = name, found
	run.mu.Unlock()
	if run.rule.Mode == guestOff {
		<-run.stop
		return
	}
	problem, err := s.cannotBoot(vm)
	if problem != "" {
		s.journal.start(entry{Kind: "guest", Method: guestStop, Type: "VirtualMachine", Object: run.vm.Value, Name: run.name, Detail: problem})
	}
	if err != nil {
		problem = err.Error()
	}
	if problem != "" { // a check that failed is seen as well, because no guest runs
		run.mu.Lock()
		run.rule.Mode, run.output = guestStop, []byte(problem+"\n")
		run.mu.Unlock()
		<-run.stop
		return
	}
	seen := s.journal.start(entry{Kind: "guest", Method: run.rule.Mode, Type: "VirtualMachine", Object: run.vm.Value, Name: run.name})
	if !run.sleep(time.Duration(run.rule.DelayMS) * time.Millisecond) {
		return
	}
	s.setGuest(run.vm, true)
	if run.rule.Mode == guestHang {
		<-run.stop
	}
	for run.rule.Mode == guestRun && !run.isStopped() {
		if err := t.boot(run, vm, extra); err != nil {
			run.mu.Lock()
			run.output = append(run.output, ("simulator: " + err.Error() + "\n")...)
			run.mu.Unlock()
			break
		}
		run.mu.Lock()
		again := !run.stopped && (run.reboot || (run.exit != nil && *run.exit == rebootCode))
		run.reboot = false
		run.mu.Unlock()
		if !again {
			break
		}
	}
	run.mu.Lock()
	run.ended = time.Now()
	stopped := run.stopped
	run.mu.Unlock()
	s.journal.finish(seen, func(e *entry) {
		if run.exit != nil {
			e.Status = *run.exit
		}
		e.Detail = string(run.output[max(0, len(run.output)-4096):])
	})
	if !stopped {
		s.powerOffByGuest(vm)
	}
}

func (r *guestRunState) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

func (r *guestRunState) sleep(duration time.Duration) bool {
	select {
	case <-r.stop:
		return false
	case <-time.After(duration):
		return true
	}
}

// boot runs the command once and ends all its processes.
func (t *guestTable) boot(run *guestRunState, vm *simulator.VirtualMachine, extra map[string]string) error {
	s := t.sim
	ctx := s.newContext()
	var paths []string
	for _, disk := range s.disks(vm, s.devicesOf(ctx, vm)) {
		stored := s.store.disk(disk.id)
		if stored == nil {
			var err error
			if stored, err = s.store.empty(disk.capacity); err != nil {
				return err
			}
			s.store.put(disk.id, stored)
		}
		defer s.store.unpin(stored)
		paths = append(paths, stored.Path)
	}
	run.mu.Lock()
	run.boots++
	boots := run.boots
	run.exit = nil
	run.mu.Unlock()

	guestinfo := map[string]string{}
	for key, value := range extra {
		if strings.HasPrefix(key, "guestinfo.") {
			guestinfo[key] = value
		}
	}
	guestinfoJSON, _ := json.Marshal(guestinfo)
	extraJSON, _ := json.Marshal(extra)
	tag := fmt.Sprintf("%d-%s-%d-%d", os.Getpid(), run.vm.Value, run.started.UnixNano(), boots)
	command := exec.Command("/bin/sh", append([]string{"-c", run.rule.Command, "guest", run.name, run.vm.Value}, paths...)...)
	command.Dir = s.state
	command.Env = append(os.Environ(),
		runVariable+"="+tag,
		"STRATA_VM_NAME="+run.name,
		"STRATA_VM_MOID="+run.vm.Value,
		"STRATA_VM_UUID="+vm.Config.Uuid,
		"STRATA_VM_BOOT="+strconv.Itoa(boots),
		"STRATA_VM_DISKS="+strings.Join(paths, "\n"),
		"STRATA_VM_GUESTINFO="+string(guestinfoJSON),
		"STRATA_VM_EXTRA_CONFIG="+string(extraJSON),
		"STRATA_CONTROL="+s.address,
	)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	command.Stdout, command.Stderr = writer, writer
	read := make(chan struct{})
	go func() {
		defer close(read)
		t.listen(run, vm, reader)
	}()

	runtime.LockOSThread() // the kernel sends the death signal when the thread that forked ends
	defer runtime.UnlockOSThread()
	run.mu.Lock()
	if run.stopped {
		err = errors.New("powered off")
	} else if err = command.Start(); err == nil {
		run.process = command.Process
	}
	run.mu.Unlock()
	if err == nil {
		err = command.Wait()
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
		killTagged(tag)
		run.mu.Lock()
		run.process = nil
		code := command.ProcessState.ExitCode()
		run.exit = &code
		run.mu.Unlock()
		var status *exec.ExitError
		if errors.As(err, &status) {
			err = nil
		}
	}
	_ = writer.Close()
	select {
	case <-read:
	case <-time.After(2 * time.Second):
	}
	_ = reader.Close()
	return err
}

// listen keeps the tail of the output; lines "guestinfo.KEY=VALUE" set the VM's guestinfo.
func (t *guestTable) listen(run *guestRunState, vm *simulator.VirtualMachine, reader io.Reader) {
	lines := bufio.NewReaderSize(reader, outputLimit)
	for {
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			run.mu.Lock()
			run.output = append(run.output, line...)
			run.output = append(run.output[:0], run.output[max(0, len(run.output)-outputLimit):]...)
			run.mu.Unlock()
			key, value, found := strings.Cut(strings.TrimRight(string(line), "\r\n"), "=")
			if found && strings.HasPrefix(key, "guestinfo.") && !strings.ContainsAny(key, " \t") {
				_ = t.sim.setGuestinfo(vm, map[string]string{key: value})
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// killTagged ends processes of a run that left its process group, as wineserver does.
func killTagged(tag string) {
	mark := []byte(runVariable + "=" + tag)
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for _, variable := range bytes.Split(environment, []byte{0}) {
			if bytes.Equal(variable, mark) {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
	}
}

// powerOffByGuest powers off the VM of a guest that has shut down.
func (s *Simulator) powerOffByGuest(vm *simulator.VirtualMachine) {
	ctx := s.newContext()
	ctx.WithLock(vm, func() {
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
			return
		}
		ctx.Update(vm, []types.PropertyChange{
			{Name: "runtime.powerState", Val: types.VirtualMachinePowerStatePoweredOff},
			{Name: "summary.runtime.powerState", Val: types.VirtualMachinePowerStatePoweredOff},
		})
	})
}

// setGuest publishes whether VMware Tools run in a VM.
func (s *Simulator) setGuest(ref types.ManagedObjectReference, running bool) {
	vm := s.vm(ref)
	if vm == nil {
		return
	}
	status, tools := types.VirtualMachineToolsRunningStatusGuestToolsNotRunning, types.VirtualMachineToolsStatusToolsNotRunning
	state := types.VirtualMachineGuestStateNotRunning
	if running {
		status, tools = types.VirtualMachineToolsRunningStatusGuestToolsRunning, types.VirtualMachineToolsStatusToolsOk
		state = types.VirtualMachineGuestStateRunning
	}
	ctx := s.newContext()
	ctx.WithLock(vm, func() {
		if on := vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn; on != running {
			return // it has changed again
		}
		ctx.Update(vm, []types.PropertyChange{
			{Name: "guest.toolsRunningStatus", Val: string(status)},
			{Name: "guest.toolsStatus", Val: tools},
			{Name: "guest.guestState", Val: string(state)},
			{Name: "guest.hostName", Val: vm.Name},
			{Name: "summary.guest.toolsRunningStatus", Val: string(status)},
			{Name: "summary.guest.toolsStatus", Val: tools},
		})
	})
}

// setGuestinfo sets guestinfo.* of a VM as VMware Tools do; an empty value removes.
func (s *Simulator) setGuestinfo(vm *simulator.VirtualMachine, values map[string]string) error {
	for key := range values {
		if !strings.HasPrefix(key, "guestinfo.") {
			return fmt.Errorf("%q does not begin with guestinfo.", key)
		}
	}
	ctx := s.newContext()
	ctx.WithLock(vm, func() {
		var options []types.BaseOptionValue
		for _, option := range vm.Config.ExtraConfig {
			if _, changed := values[option.GetOptionValue().Key]; !changed {
				options = append(options, option)
			}
		}
		for key, value := range values {
			if value != "" {
				options = append(options, &types.OptionValue{Key: key, Value: value})
			}
		}
		ctx.Update(vm, []types.PropertyChange{{Name: "config.extraConfig", Val: options}})
	})
	return nil
}

// ShutdownGuest asks the guest to shut down.
func (o *vmOverride) ShutdownGuest(ctx *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	body := new(methods.ShutdownGuestBody)
	var power types.VirtualMachinePowerState
	var tools string
	ctx.WithLock(o.vm, func() { power, tools = o.vm.Runtime.PowerState, o.vm.Guest.ToolsRunningStatus })
	running := tools == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	switch {
	case power != types.VirtualMachinePowerStatePoweredOn:
		body.Fault_ = simulator.Fault("The attempted operation cannot be performed in the current state.",
			&types.InvalidPowerState{RequestedState: types.VirtualMachinePowerStatePoweredOn, ExistingState: power})
	case running && o.sim.guests.terminate(o.vm.Self, false):
		body.Res = new(types.ShutdownGuestResponse)
	case running: // a client said that tools run
		var res soap.HasFault
		req.This = o.vm.Self
		ctx.WithLock(o.vm, func() { res = o.vm.ShutdownGuest(ctx, req) })
		return res
	default:
		body.Fault_ = simulator.Fault("VMware Tools are not running in the virtual machine.", new(types.ToolsUnavailable))
	}
	return body
}

// RebootGuest asks the guest to restart.
func (o *vmOverride) RebootGuest(ctx *simulator.Context, req *types.RebootGuest) soap.HasFault {
	if o.sim.guests.terminate(o.vm.Self, true) {
		return &methods.RebootGuestBody{Res: new(types.RebootGuestResponse)}
	}
	var res soap.HasFault
	req.This = o.vm.Self
	ctx.WithLock(o.vm, func() { res = o.vm.RebootGuest(ctx, req) })
	return res
}

type guestView struct {
	VM      string  `json:"vm"`
	MoID    string  `json:"moid"`
	Mode    string  `json:"mode"`
	Boots   int     `json:"boots"`
	PID     int     `json:"pid,omitempty"`
	Running bool    `json:"running"`
	Exit    *int    `json:"exit"`
	Output  string  `json:"output"`
	Seconds float64 `json:"seconds"`
}

func (t *guestTable) list() []guestView {
	t.mu.Lock()
	runs := append([]*guestRunState(nil), t.runs...)
	t.mu.Unlock()
	views := []guestView{}
	for _, run := range runs {
		run.mu.Lock()
		view := guestView{
			VM: run.name, MoID: run.vm.Value, Mode: run.rule.Mode, Boots: run.boots,
			Running: run.process != nil, Exit: run.exit, Output: string(run.output),
		}
		if run.process != nil {
			view.PID = run.process.Pid
		}
		if !run.ended.IsZero() {
			view.Seconds = run.ended.Sub(run.started).Seconds()
		}
		run.mu.Unlock()
		views = append(views, view)
	}
	return views
}
