// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/vmware/govmomi/vim25/types"
)

const drainLimit = 1 << 30 // bytes of a refused body that are read all the same

// serveNFC is the file transfer endpoint of an ESXi host: /nfc/<lease>/<target>.
func (s *Simulator) serveNFC(w http.ResponseWriter, r *http.Request) {
	name := "NFC:GET"
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		name = "NFC:PUT"
	}
	lease := s.leases.find(r.PathValue("lease"))
	note := entry{Kind: "nfc", Method: name, Detail: r.Method + " " + r.PathValue("target")}
	if lease != nil {
		note.Type, note.Object, note.Name = lease.Self.Type, lease.Self.Value, s.entityName(lease.vmReference())
	}
	seen := s.journal.start(note)
	answer := &meter{ResponseWriter: w}
	var received int64
	defer func() {
		s.journal.finish(seen, func(e *entry) {
			e.Status, e.Bytes = answer.status, answer.bytes+received
		})
	}()

	var hit *rule
	if lease != nil {
		hit = s.rules.match(name, note.Name, note.Object, r.PathValue("target"))
	}
	if hit != nil {
		s.journal.finish(seen, func(e *entry) { e.Rule = hit.ID })
		if hit.AfterBytes == nil && !hit.After && s.obstruct(answer, r, hit) {
			return
		}
	}
	device := (*leaseDevice)(nil)
	if lease != nil && lease.unusable() == nil {
		device = lease.devices[r.PathValue("target")]
	}
	if device == nil {
		http.NotFound(answer, r)
		return
	}
	switch r.Method {
	case http.MethodPut, http.MethodPost:
		if !lease.imports {
			http.Error(answer, "the lease is an export", http.StatusMethodNotAllowed)
			return
		}
		body := &valve{sim: s, rule: hit, request: r, reader: r.Body}
		s.receive(answer, r, lease, device, body)
		received = body.passed
		if body.act {
			s.obstruct(answer, r, hit)
		}
	case http.MethodGet, http.MethodHead:
		if lease.imports {
			http.Error(answer, "the lease is an import", http.StatusMethodNotAllowed)
			return
		}
		s.send(answer, r, lease, device, hit)
	default:
		answer.Header().Set("Allow", "GET, HEAD, PUT, POST")
		http.Error(answer, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// obstruct applies a rule; it reports whether the request ends with that.
func (s *Simulator) obstruct(w http.ResponseWriter, r *http.Request, hit *rule) bool {
	if hit.Restart != "" {
		s.restart(time.Duration(hit.DelayMS)*time.Millisecond, hit.Restart)
		panic(http.ErrAbortHandler)
	}
	s.pause(r, hit)
	switch {
	case hit.DropConnection:
		panic(http.ErrAbortHandler)
	case hit.HTTPStatus != 0 && r.Method == http.MethodGet && hit.AfterBytes != nil:
		panic(http.ErrAbortHandler) // the status of a download was sent before its first byte
	case hit.HTTPStatus != 0:
		if hit.AfterBytes == nil {
			drain(r)
		}
		http.Error(w, "a fault rule of the simulator", hit.HTTPStatus)
		return true
	}
	return false
}

// drain reads the remaining data of the client, so that the client reads the answer.
func drain(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, drainLimit) }

// pause waits for the time of the rule, unless the rule is released, the client disconnects or the simulator ends.
func (s *Simulator) pause(r *http.Request, hit *rule) {
	if hit.DelayMS <= 0 {
		return
	}
	select {
	case <-time.After(time.Duration(hit.DelayMS) * time.Millisecond):
	case <-hit.released:
	case <-r.Context().Done():
	case <-s.done:
	}
}

// receive stores an upload. A body that is not a VMDK of that disk ends the lease.
func (s *Simulator) receive(w http.ResponseWriter, r *http.Request, lease *Lease, device *leaseDevice, body *valve) {
	if device.disk == nil {
		if _, err := io.Copy(io.Discard, body); err == nil {
			w.WriteHeader(http.StatusOK)
		}
		return
	}
	stored, err := s.store.receive(body, &streamCheck{capacity: device.disk.capacity})
	if body.act {
		return // the rule speaks
	}
	if err != nil {
		if body.failed == nil || s.settings.get().CutUpload == "error" {
			text := fmt.Sprintf("Failed to write disk %s: %v.", device.target, err)
			lease.fail(s.newContext(), &types.SystemError{Reason: text}, text)
		}
		drain(r)
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	lease.mu.Lock()
	if lease.ended {
		lease.mu.Unlock()
		s.store.unpin(stored)
		http.NotFound(w, r)
		return
	}
	before := device.stored
	device.stored, device.moved = stored, true
	lease.mu.Unlock()
	s.store.put(device.disk.id, stored)
	s.showContent(s.newContext(), s.vm(lease.vmReference()))
	s.store.unpin(before)
	if hit := body.rule; hit != nil && hit.After && s.obstruct(w, r, hit) {
		return
	}
	w.WriteHeader(http.StatusCreated)
}

// send serves a download.
func (s *Simulator) send(w *meter, r *http.Request, lease *Lease, device *leaseDevice, hit *rule) {
	header := w.Header()
	if device.disk == nil {
		header.Set("Content-Type", "application/octet-stream")
		header.Set("Content-Length", strconv.Itoa(len(device.content)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(device.content)
		}
		return
	}
	file, err := os.Open(device.stored.Path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	header.Set("Content-Type", "application/x-vnd.vmware-streamVmdk")
	if !s.settings.get().ChunkedExport {
		header.Set("Content-Length", strconv.FormatInt(device.stored.Size, 10))
	}
	if r.Method == http.MethodHead {
		return
	}
	source := &valve{sim: s, rule: hit, request: r, reader: file}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, source, make([]byte, 1<<20))
	if source.act {
		w.flush() // the client receives all bytes before the rule acts
		s.obstruct(w, r, hit)
	}
	if source.act || err != nil {
		panic(http.ErrAbortHandler) // Content-Length promised more bytes
	}
	lease.mu.Lock()
	device.moved = true
	lease.mu.Unlock()
}

// valve counts the bytes of a transfer and stops it where a rule requests that.
type valve struct {
	sim     *Simulator
	rule    *rule
	request *http.Request
	reader  io.Reader
	passed  int64
	act     bool  // the rule's place was reached and it ends the request
	failed  error // the peer stopped sending
}

func (v *valve) Read(data []byte) (int, error) {
	if v.rule != nil && v.rule.AfterBytes != nil {
		left := *v.rule.AfterBytes - v.passed
		if left <= 0 {
			if v.rule.DropConnection || v.rule.HTTPStatus != 0 || v.rule.Restart != "" {
				v.act = true
				return 0, io.ErrUnexpectedEOF
			}
			v.sim.pause(v.request, v.rule)
			v.rule = nil
		} else {
			data = data[:min(int64(len(data)), left)]
		}
	}
	n, err := v.reader.Read(data)
	v.passed += int64(n)
	if err != nil && err != io.EOF {
		v.failed = err
	}
	return n, err
}

// meter remembers the status and the size of an answer.
type meter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (m *meter) WriteHeader(status int) {
	if m.status == 0 {
		m.status = status
	}
	m.ResponseWriter.WriteHeader(status)
}

func (m *meter) Write(data []byte) (int, error) {
	if m.status == 0 {
		m.status = http.StatusOK
	}
	n, err := m.ResponseWriter.Write(data)
	m.bytes += int64(n)
	return n, err
}

// flush sends the buffered part of the answer.
func (m *meter) flush() { _ = http.NewResponseController(m.ResponseWriter).Flush() }
