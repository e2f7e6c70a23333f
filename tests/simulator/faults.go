// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/types"
)

// rule makes chosen calls fail, wait or lose their connection. Its JSON form is the control API's.
type rule struct {
	ID     int    `json:"id"`
	Method string `json:"method"`           // SOAP method, "NFC:PUT", "NFC:GET" or "LEASE"; shell pattern
	Object string `json:"object,omitempty"` // name or managed object ID; empty is any
	Since  string `json:"since,omitempty"`  // SOAP method: only calls count that come after one of it
	Calls  int    `json:"since_calls"`      // after how many of those; 1 unless given
	Skip   int    `json:"skip"`             // calls that pass first
	Count  int    `json:"count"`            // calls that are hit then; -1 is all

	Fault          string          `json:"fault,omitempty"`        // vSphere fault type
	FaultFields    json.RawMessage `json:"fault_fields,omitempty"` // its fields
	Message        string          `json:"message,omitempty"`
	Task           bool            `json:"task,omitempty"` // the fault ends the task, not the call
	DelayMS        int             `json:"delay_ms,omitempty"`
	HTTPStatus     int             `json:"http_status,omitempty"`
	DropConnection bool            `json:"drop_connection,omitempty"`
	Restart        string          `json:"restart,omitempty"`     // vCenter restarts; what becomes of leases
	After          bool            `json:"after,omitempty"`       // carry out the call, then lose the answer
	AfterBytes     *int64          `json:"after_bytes,omitempty"` // NFC: act after this number of bytes

	Seen int `json:"seen"`
	Hits int `json:"hits"`

	past     int           // calls of Since so far
	released chan struct{} // closed when calls must no longer wait
}

// UnmarshalJSON sets the defaults of omitted fields.
func (r *rule) UnmarshalJSON(data []byte) error {
	type plain rule
	filled := plain{Count: 1, Calls: 1}
	if err := json.Unmarshal(data, &filled); err != nil {
		return err
	}
	*r = rule(filled)
	return nil
}

func (r *rule) check() error {
	if _, err := path.Match(r.Method, ""); err != nil || r.Method == "" {
		return fmt.Errorf("method %q is neither a name nor a pattern", r.Method)
	}
	if r.Restart != "" && !slices.Contains([]string{"keep", "abort", "orphan"}, r.Restart) {
		return fmt.Errorf("restart must be keep, abort or orphan, not %q", r.Restart)
	}
	if r.Fault != "" {
		if _, err := r.fault(); err != nil {
			return err
		}
	} else if r.Task {
		return fmt.Errorf("a rule with task needs a fault")
	}
	return nil
}

// fault builds the fault that the rule names.
func (r *rule) fault() (types.BaseMethodFault, error) {
	kind, ok := types.TypeFunc()(r.Fault)
	if !ok {
		return nil, fmt.Errorf("there is no fault %q", r.Fault)
	}
	value := reflect.New(kind).Interface()
	fault, ok := value.(types.BaseMethodFault)
	if !ok {
		return nil, fmt.Errorf("%q is not a fault", r.Fault)
	}
	if len(r.FaultFields) > 0 {
		if err := json.Unmarshal(r.FaultFields, value); err != nil {
			return nil, fmt.Errorf("the fields of %q: %w", r.Fault, err)
		}
	}
	return fault, nil
}

func (r *rule) message() string {
	if r.Message != "" {
		return r.Message
	}
	return "A fault rule of the simulator answered with " + r.Fault + "."
}

// ruleTable holds the rules in the order in which they were added.
type ruleTable struct {
	mu    sync.Mutex
	next  int
	rules []*rule
}

func (t *ruleTable) add(r *rule) error {
	if err := r.check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	r.ID, r.Seen, r.Hits, r.past, r.released = t.next, 0, 0, 0, make(chan struct{})
	t.rules = append(t.rules, r)
	return nil
}

// remove deletes one rule, or all with id 0. Calls that wait because of it continue.
func (t *ruleTable) remove(id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules = slices.DeleteFunc(t.rules, func(r *rule) bool {
		removed := id == 0 || r.ID == id
		if removed {
			r.release()
		}
		return removed
	})
}

// release ends the delays of a rule: calls that wait because of it continue, and later calls do not wait.
func (t *ruleTable) release(id int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.rules {
		if r.ID == id {
			r.release()
			return nil
		}
	}
	return fmt.Errorf("there is no rule %d", id)
}

// release ends the rule's delay; the caller holds the table's lock.
func (r *rule) release() {
	select {
	case <-r.released:
	default:
		close(r.released)
	}
}

func (t *ruleTable) list() []rule {
	t.mu.Lock()
	defer t.mu.Unlock()
	rules := make([]rule, 0, len(t.rules))
	for _, r := range t.rules {
		rules = append(rules, *r)
	}
	return rules
}

// match returns a copy of the first rule that hits this call, or nil.
func (t *ruleTable) match(method string, objects ...string) *rule {
	t.mu.Lock()
	defer t.mu.Unlock()
	var open []*rule
	for _, r := range t.rules {
		if r.Since == "" || r.past >= r.Calls {
			open = append(open, r)
		}
		if r.Since != "" && matches(r.Since, method) {
			r.past++
		}
	}
	for _, r := range open {
		if !matches(r.Method, method) {
			continue
		}
		if r.Object != "" && !slices.Contains(objects, r.Object) {
			continue
		}
		r.Seen++
		if r.Seen <= r.Skip || (r.Count >= 0 && r.Hits >= r.Count) {
			continue
		}
		r.Hits++
		hit := *r
		return &hit
	}
	return nil
}

// matches reports whether a pattern names a method; _Task may be left out.
func matches(pattern, method string) bool {
	ok, _ := path.Match(pattern, method)
	return ok || pattern+"_Task" == method
}
