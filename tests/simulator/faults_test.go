// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func parseRule(t *testing.T, text string) *rule {
	t.Helper()
	parsed := new(rule)
	if err := json.Unmarshal([]byte(text), parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestRulesSkipAndCount(t *testing.T) {
	var table ruleTable
	if err := table.add(parseRule(t, `{"method": "PowerOnVM", "object": "a", "skip": 1, "count": 2, "delay_ms": 1}`)); err != nil {
		t.Fatal(err)
	}
	var hits []bool
	for range 5 {
		table.match("PowerOnVM_Task", "b", "vm-1")
		hits = append(hits, table.match("PowerOnVM_Task", "a", "vm-2") != nil)
	}
	want := []bool{false, true, true, false, false}
	for i := range want {
		if hits[i] != want[i] {
			t.Fatalf("hits %v", hits)
		}
	}
	if listed := table.list()[0]; listed.Seen != 5 || listed.Hits != 2 {
		t.Errorf("seen %d, hits %d", listed.Seen, listed.Hits)
	}
}

func TestRulesDefaultToOneHitAndPatterns(t *testing.T) {
	var table ruleTable
	for _, text := range []string{`{"method": "NFC:*", "http_status": 503}`, `{"method": "*", "count": -1, "delay_ms": 1}`} {
		if err := table.add(parseRule(t, text)); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{1, 2, 2} {
		if hit := table.match("NFC:PUT"); hit == nil || hit.ID != want {
			t.Errorf("call %d: %v", i, hit)
		}
	}
	table.remove(2)
	if hit := table.match("NFC:PUT"); hit != nil {
		t.Errorf("removed rule hits: %v", hit)
	}
}

func TestRulesWaitForAnotherCall(t *testing.T) {
	var table ruleTable
	if err := table.add(parseRule(t, `{"method": "Read", "since": "Change", "since_calls": 2, "skip": 1, "delay_ms": 1}`)); err != nil {
		t.Fatal(err)
	}
	for i, method := range []string{"Read", "Change_Task", "Read", "Read", "Change_Task", "Read", "Read", "Read"} {
		if hit := table.match(method); (hit != nil) != (i == 6) {
			t.Errorf("call %d of %s: %v", i, method, hit)
		}
	}
	if listed := table.list()[0]; listed.Seen != 3 || listed.Hits != 1 {
		t.Errorf("seen %d, hits %d", listed.Seen, listed.Hits)
	}
}

func TestFaultsAreBuiltByName(t *testing.T) {
	fault, err := parseRule(t, `{"method": "X", "fault": "NoDiskSpace", "fault_fields": {"datastore": "ds"}}`).fault()
	if space, ok := fault.(*types.NoDiskSpace); err != nil || !ok || space.Datastore != "ds" {
		t.Errorf("%#v, %v", fault, err)
	}
	for _, text := range []string{
		`{"method": "X", "fault": "Nonsense"}`, `{"method": "X", "fault": "AboutInfo"}`, `{"method": ""}`,
		`{"method": "[", "delay_ms": 1}`, `{"method": "X", "task": true}`, `{"method": "X", "fault": "NoDiskSpace", "fault_fields": 7}`,
	} {
		var table ruleTable
		if table.add(parseRule(t, text)) == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestReleasedRulesDoNotDelay(t *testing.T) {
	var table ruleTable
	for range 2 {
		if err := table.add(parseRule(t, `{"method": "NFC:GET", "count": -1, "delay_ms": 60000}`)); err != nil {
			t.Fatal(err)
		}
	}
	first := table.match("NFC:GET")
	select {
	case <-first.released:
		t.Error("a new rule is released")
	default:
	}
	for range 2 {
		if err := table.release(first.ID); err != nil {
			t.Error(err)
		}
	}
	<-first.released
	table.remove(first.ID)
	second := table.match("NFC:GET")
	table.remove(0)
	<-second.released
	if table.release(second.ID) == nil {
		t.Error("a rule that does not exist was released")
	}
}
