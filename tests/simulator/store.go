// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// blob is the content of one disk as it was uploaded. It never changes; clones and snapshots
// share it.
type blob struct {
	Path      string `json:"path"`
	Size      int64  `json:"size"`
	SHA1      string `json:"sha1"`
	SHA256    string `json:"sha256"`
	Capacity  int64  `json:"capacity"`
	Populated int64  `json:"populated"`
}

// diskID names a virtual disk: its datacenter and its datastore path.
type diskID struct {
	datacenter types.ManagedObjectReference
	path       string
}

// store keeps the bytes of disks in a folder.
type store struct {
	folder string

	mu        sync.Mutex
	count     int
	blobs     map[*blob]int // pins: leases and running transfers that need the file
	disks     map[diskID]*blob
	snapshots map[types.ManagedObjectReference]map[diskID]*blob
}

func newStore(folder string) *store {
	return &store{
		folder:    folder,
		blobs:     map[*blob]int{},
		disks:     map[diskID]*blob{},
		snapshots: map[types.ManagedObjectReference]map[diskID]*blob{},
	}
}

// receive stores a body in a new blob, which is pinned. check sees every byte first.
func (s *store) receive(body io.Reader, check *streamCheck) (*blob, error) {
	s.mu.Lock()
	s.count++
	path := filepath.Join(s.folder, fmt.Sprintf("disk-%06d.vmdk", s.count))
	s.mu.Unlock()

	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	sums := [2]hash.Hash{sha1.New(), sha256.New()}
	size, err := io.CopyBuffer(io.MultiWriter(check, file, sums[0], sums[1]), onlyReader{body}, make([]byte, 1<<20))
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = check.finish()
	}
	var capacity, populated int64
	if err == nil {
		capacity, populated, err = inspectStream(path)
	}
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	stored := &blob{
		Path: path, Size: size, Capacity: capacity, Populated: populated,
		SHA1:   hex.EncodeToString(sums[0].Sum(nil)),
		SHA256: hex.EncodeToString(sums[1].Sum(nil)),
	}
	s.mu.Lock()
	s.blobs[stored] = 1
	s.mu.Unlock()
	return stored, nil
}

// onlyReader hides WriterTo, which would defeat the buffer of io.CopyBuffer.
type onlyReader struct{ io.Reader }

// importFile stores a copy of a file, which is pinned.
func (s *store) importFile(path string) (*blob, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	capacity, _, err := inspectStream(path)
	if err != nil {
		return nil, err
	}
	return s.receive(file, &streamCheck{capacity: capacity})
}

// empty stores a VMDK without a grain, which is pinned.
func (s *store) empty(capacity int64) (*blob, error) {
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(writeEmptyStream(writer, capacity)) }()
	stored, err := s.receive(reader, &streamCheck{capacity: capacity})
	reader.CloseWithError(io.ErrClosedPipe)
	return stored, err
}

// disk returns the stored content of a disk, pinned, or nil.
func (s *store) disk(id diskID) *blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.disks[id]
	if stored != nil {
		s.blobs[stored]++
	}
	return stored
}

// contents returns the stored content of the disks that have any, not pinned.
func (s *store) contents(ids []diskID) map[diskID]*blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[diskID]*blob{}
	for _, id := range ids {
		if stored := s.disks[id]; stored != nil {
			found[id] = stored
		}
	}
	return found
}

// snapshot returns the disks that a snapshot keeps, by disk; nil when it is unknown.
func (s *store) snapshot(ref types.ManagedObjectReference) map[diskID]*blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshots[ref]
}

// change runs f on the tables and removes the files that nothing needs afterwards.
func (s *store) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	used := map[*blob]bool{}
	for _, stored := range s.disks {
		used[stored] = true
	}
	for _, kept := range s.snapshots {
		for _, stored := range kept {
			used[stored] = true
		}
	}
	for stored, pins := range s.blobs {
		if pins <= 0 && !used[stored] {
			delete(s.blobs, stored)
			_ = os.Remove(stored.Path)
		}
	}
}

func (s *store) put(id diskID, stored *blob) { s.change(func() { s.disks[id] = stored }) }

func (s *store) pin(stored *blob) {
	s.mu.Lock()
	s.blobs[stored]++
	s.mu.Unlock()
}

func (s *store) unpin(stored *blob) {
	if stored != nil {
		s.change(func() { s.blobs[stored]-- })
	}
}

func (s *store) drop(ids []diskID) {
	s.change(func() {
		for _, id := range ids {
			delete(s.disks, id)
		}
	})
}
