// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"os"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func TestFilesGoWhenNothingNeedsThem(t *testing.T) {
	s := newStore(t.TempDir())
	stored, err := s.empty(testCapacity)
	if err != nil {
		t.Fatal(err)
	}
	exists := func() bool {
		_, err := os.Stat(stored.Path)
		return err == nil
	}
	id, copied := diskID{path: "[ds] a/a.vmdk"}, diskID{path: "[ds] b/b.vmdk"}
	snapshot := types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: "snapshot-1"}
	s.put(id, stored)
	s.put(copied, stored)
	s.unpin(stored)
	s.drop([]diskID{id})
	if !exists() {
		t.Fatal("the copy lost its file")
	}
	s.change(func() { s.snapshots[snapshot] = map[diskID]*blob{copied: stored} })
	s.drop([]diskID{copied})
	if !exists() {
		t.Fatal("the snapshot lost its file")
	}
	s.pin(stored)
	s.change(func() { delete(s.snapshots, snapshot) })
	if !exists() {
		t.Fatal("a transfer lost its file")
	}
	s.unpin(stored)
	if exists() {
		t.Fatal("a file stays that nothing needs")
	}
}

func TestARefusedBodyLeavesNoFile(t *testing.T) {
	s := newStore(t.TempDir())
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	if _, err := s.receive(reader, &streamCheck{capacity: testCapacity}); err == nil {
		t.Error("an empty body was stored")
	}
	if files, _ := os.ReadDir(s.folder); len(files) != 0 {
		t.Errorf("%v", files)
	}
}
