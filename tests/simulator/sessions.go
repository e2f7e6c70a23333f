// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"sync"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// collectors are the sessions' own views of the property collector. vcsim lists all of them as
// listeners under the single reference that they share, so that only the newest would receive
// changes; here each has its own name, under which vcsim lists it.
type collectors struct {
	mu  sync.Mutex
	all map[string]*simulator.PropertyCollector // by session key
}

// separate names the property collector of the session that calls.
func (c *collectors) separate(ctx *simulator.Context, ref types.ManagedObjectReference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all[ctx.Session.Key] != nil {
		return
	}
	own, ok := ctx.Session.Get(ref).(*simulator.PropertyCollector)
	if !ok || own == ctx.Map.Get(ref) {
		return
	}
	own.Self.Value = "session[" + ctx.Session.Key + "]" + ref.Value
	if c.all == nil {
		c.all = map[string]*simulator.PropertyCollector{}
	}
	c.all[ctx.Session.Key] = own
}

// forget stops reporting changes to an ended session.
func (c *collectors) forget(registry *simulator.Registry, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if own := c.all[key]; own != nil {
		registry.RemoveHandler(own)
		delete(c.all, key)
	}
}

// sessionEnds removes the objects of a session.
func (s *Simulator) sessionEnds(key string) {
	if s.settings.get().SessionLeases == "abort" {
		s.endLeases([]string{key}, false, "The session that held the lease has ended.")
	}
	s.collectors.forget(s.registry(), key)
}

// endSessions logs sessions out; without a key, all of them. It returns how many there were.
func (s *Simulator) endSessions(keys ...string) int {
	manager := s.registry().SessionManager()
	caller := func() *simulator.Session {
		return &simulator.Session{
			UserSession: types.UserSession{Key: "simulator"}, Registry: simulator.NewRegistry(), Map: s.registry(),
		}
	}
	if len(keys) == 0 {
		view, ok := caller().Get(manager.Self).(*simulator.SessionManager)
		if !ok {
			return 0
		}
		for _, session := range view.SessionList {
			keys = append(keys, session.Key)
		}
	}
	ended := 0
	ctx := s.newContext()
	ctx.Session = caller()
	for _, key := range keys {
		s.sessionEnds(key)
		req := &types.TerminateSession{This: manager.Self, SessionId: []string{key}}
		if manager.TerminateSession(ctx, req).Fault() == nil {
			ended++
		}
	}
	return ended
}
