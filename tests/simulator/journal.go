// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"sync"
	"time"
)

const journalLimit = 200_000

// entry is one thing that happened: a SOAP call, an NFC request, a guest's run, an end of a lease.
type entry struct {
	N       int     `json:"n"`
	Time    float64 `json:"time"` // seconds since the epoch
	Kind    string  `json:"kind"` // "soap", "nfc", "guest", "lease"
	Method  string  `json:"method"`
	Type    string  `json:"type,omitempty"`   // managed object type
	Object  string  `json:"object,omitempty"` // managed object ID
	Name    string  `json:"name,omitempty"`   // name of the object, of a lease's VM, of the VM to be made
	Detail  string  `json:"detail,omitempty"`
	Rule    int     `json:"rule,omitempty"` // the fault rule that hit
	Status  int     `json:"status"`
	Fault   string  `json:"fault,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`
	Seconds float64 `json:"seconds"`
	Done    bool    `json:"done"`
}

// journal is the list of observed calls and transfers, in order.
type journal struct {
	mu      sync.Mutex
	next    int
	entries []*entry
}

// start notes that something began.
func (j *journal) start(e entry) *entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next++
	e.N = j.next
	e.Time = float64(time.Now().UnixNano()) / 1e9
	if len(j.entries) >= journalLimit {
		j.entries = append(j.entries[:0], j.entries[journalLimit/2:]...)
	}
	j.entries = append(j.entries, &e)
	return &e
}

// finish notes how it ended.
func (j *journal) finish(e *entry, change func(*entry)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	change(e)
	e.Seconds = float64(time.Now().UnixNano())/1e9 - e.Time
	e.Done = true
}

// list returns the entries after number n.
func (j *journal) list(n int) []entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := []entry{}
	for _, e := range j.entries {
		if e.N > n {
			list = append(list, *e)
		}
	}
	return list
}

func (j *journal) clear() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}
