// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testCapacity = 48 << 20

func emptyDisk(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := writeEmptyStream(&out, testCapacity); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func checkStream(t *testing.T, body []byte, piece int) error {
	t.Helper()
	check := &streamCheck{capacity: testCapacity}
	for len(body) > 0 {
		n := min(piece, len(body))
		if _, err := check.Write(body[:n]); err != nil {
			return err
		}
		body = body[n:]
	}
	return check.finish()
}

func TestEmptyStreamPasses(t *testing.T) {
	body := emptyDisk(t)
	for _, piece := range []int{1, 511, 512, 513, 1 << 20} {
		if err := checkStream(t, body, piece); err != nil {
			t.Errorf("in pieces of %d: %v", piece, err)
		}
	}
	path := filepath.Join(t.TempDir(), "empty.vmdk")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	capacity, populated, err := inspectStream(path)
	if err != nil || capacity != testCapacity || populated != 0 {
		t.Errorf("capacity %d, populated %d, error %v", capacity, populated, err)
	}
}

func TestBrokenStreamsFail(t *testing.T) {
	change := func(at int, value byte) []byte {
		body := emptyDisk(t)
		body[at] = value
		return body
	}
	good := emptyDisk(t)
	cases := map[string]struct {
		body []byte
		want string
	}{
		"empty":          {nil, "ends after 0 bytes"},
		"short":          {good[:300], "ends after 300 bytes"},
		"magic":          {change(0, 'X'), "KDMV"},
		"version":        {change(4, 9), "version 9"},
		"flags":          {change(10, 0), "not stream-optimized"},
		"algorithm":      {change(77, 0), "not stream-optimized"},
		"capacity":       {change(12, 1), "capacity"},
		"grain size":     {change(20, 0x81), "grain size"},
		"no end marker":  {good[:len(good)-512], "end-of-stream"},
		"half a sector":  {good[:len(good)-100], "truncated"},
		"table entries":  {change(47, 0xff), "entries"},
		"zero capacity":  {append(append(append([]byte{}, good[:12]...), make([]byte, 8)...), good[20:]...), "capacity of 0"},
		"garbage behind": {append(append([]byte{}, good...), bytes.Repeat([]byte{1}, 512)...), "end-of-stream"},
	}
	for name, c := range cases {
		if err := checkStream(t, c.body, 700); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGrainsBeyondTheEndAreFound(t *testing.T) {
	body := emptyDisk(t)
	directory := (vmdkGrain + 1) * sectorSize
	body[directory] = 0xff // a grain table at sector 255 of a file with fewer sectors
	path := filepath.Join(t.TempDir(), "cut.vmdk")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := inspectStream(path); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("error %v", err)
	}
}
