// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"net"
	"net/http"
	"strconv"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// hostAddress is what the inventory says of the service of a host.
type hostAddress struct {
	Host       string  `json:"host"` // name or managed object ID; empty: every host
	Name       *string `json:"name"`
	Port       *int32  `json:"port"`
	Thumbprint *string `json:"thumbprint"`
}

// addressHosts gives every host the address of file transfers, as the hosts of a vCenter have.
func (s *Simulator) addressHosts() error {
	address := s.server.URL.Host
	owner := s.identity
	if s.nfcURL != nil {
		address, owner = s.nfcURL.Host, s.nfcID
	}
	name, text, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return err
	}
	port, print := int32(number), ""
	if owner != nil {
		print = owner.thumbprint
	}
	_, err = s.setHostAddress(hostAddress{Name: &name, Port: &port, Thumbprint: &print})
	return err
}

// setHostAddress changes the address of one host or of all, and returns how many.
func (s *Simulator) setHostAddress(change hostAddress) (int, error) {
	count := 0
	for _, entity := range s.registry().All("HostSystem") {
		host, ok := entity.(*simulator.HostSystem)
		if !ok || (change.Host != "" && host.Name != change.Host && host.Self.Value != change.Host) {
			continue
		}
		count++
		ctx := s.newContext()
		ctx.WithLock(host, func() {
			config := host.Summary.Config
			if change.Name != nil {
				config.Name = *change.Name
			}
			if change.Port != nil {
				config.Port = *change.Port
			}
			if change.Thumbprint != nil {
				config.SslThumbprint = *change.Thumbprint
			}
			ctx.Update(host, []types.PropertyChange{{Name: "summary.config", Val: config}})
		})
	}
	if count == 0 {
		return 0, fmt.Errorf("no host is named %q", change.Host)
	}
	return count, nil
}

func (s *Simulator) controlHosts(r *http.Request) (any, error) {
	var change hostAddress
	if err := decode(r, &change); err != nil {
		return nil, err
	}
	count, err := s.setHostAddress(change)
	return map[string]int{"hosts": count}, err
}
