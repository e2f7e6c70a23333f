// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "github.com/vmware/govmomi/vapi/simulator" // tags and the content library

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/pbm"
	"github.com/vmware/govmomi/simulator"
)

// options are the command line's.
type options struct {
	listen, nfcListen      string
	username, password     string
	tls                    bool
	tlsCert, tlsKey        string
	apiVersion             string
	state                  string
	template               string
	hardware               string
	guest, bootCheck       string
	leaseTimeout           time.Duration
	datacenters, clusters  int
	hosts, standalone      int
	datastores, vms        int
	pools, folders, groups int
}

// Simulator is one simulated vCenter with its ESXi hosts' file transfer endpoint.
type Simulator struct {
	options  options
	model    *simulator.Model
	service  *simulator.Service
	server   *simulator.Server
	control  *http.Server
	nfc      *http.Server
	identity *identity
	nfcID    *identity
	nfcURL   *url.URL
	token    string
	address  string // of the control endpoint

	state      string
	store      *store
	leases     leaseTable
	rules      ruleTable
	journal    journal
	settings   settingsBox
	busy       busyTable
	collectors collectors
	drs        drs
	policies   policies
	guests     *guestTable
	boot       bootTable
	accounts   accountTable
	done       chan struct{}
	downMu     sync.Mutex
	downUntil  time.Time
}

// newSimulator starts everything; Close ends it.
func newSimulator(o options) (s *Simulator, err error) {
	if o.username == "" || o.password == "" {
		return nil, errors.New("a user name and a password are needed")
	}
	s = &Simulator{options: o, done: make(chan struct{})}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err = s.prepareState(); err != nil {
		return s, err
	}
	s.settings.set(s.defaults())
	s.store = newStore(s.state)
	s.guests = newGuestTable(s)

	s.model = simulator.VPX()
	s.model.Datacenter, s.model.Cluster, s.model.ClusterHost = o.datacenters, o.clusters, o.hosts
	s.model.Host, s.model.Datastore, s.model.Machine = o.standalone, o.datastores, o.vms
	s.model.Pool, s.model.Folder, s.model.Portgroup = o.pools, o.folders, o.groups
	s.model.Autostart = false
	s.model.ServiceContent.About.ApiVersion = o.apiVersion
	s.model.ServiceContent.About.Version = strings.Join(append(strings.Split(o.apiVersion, "."), "0", "0")[:3], ".")
	about := &s.model.ServiceContent.About
	// vcsim gives all that run on a host the same.
	about.InstanceUuid = uuid.NewString()
	about.FullName = fmt.Sprintf("%s %s build-%s", about.Name, about.Version, about.Build)
	if err = s.model.Create(); err != nil {
		return s, err
	}
	s.service = s.model.Service
	watch := &observer{sim: s}
	s.registry().AddHandler(watch)
	for _, vm := range s.registry().All("VirtualMachine") {
		watch.PutObject(s.service.Context, vm)
	}
	s.showDRS()
	s.setRelease()
	if err = s.makeTemplates(); err != nil {
		return s, err
	}
	return s, s.serve()
}

// defaults are the settings of a fresh simulator.
func (s *Simulator) defaults() settings {
	return settings{
		LeaseTimeout: s.options.leaseTimeout.Seconds(), LeaseDelayMS: 20, CutUpload: "error", SessionLeases: "keep",
		HiddenReferences: "show", DRSOverride: "apply",
		UnlockDelayMS: 50, SettleDelayMS: 20, BusyFault: "mix", ImportManifest: "full",
		ContentIDs: true,
	}
}

// prepareState makes a folder that is this process's own.
func (s *Simulator) prepareState() (err error) {
	if s.options.state != "" {
		if err = os.MkdirAll(s.options.state, 0o700); err != nil {
			return err
		}
	}
	if s.state, err = os.MkdirTemp(s.options.state, "strata-simulator-"); err == nil {
		s.state, err = filepath.Abs(s.state)
	}
	return err
}

// serve opens the three doors: vCenter, the hosts' file transfer, and the control endpoint.
func (s *Simulator) serve() (err error) {
	o := s.options
	if o.tls {
		if o.tlsCert != "" {
			s.identity, err = loadIdentity(o.tlsCert, o.tlsKey)
		} else {
			s.identity, err = selfSigned("simulated vCenter", filepath.Join(s.state, "vcenter.pem"))
		}
		if err != nil {
			return err
		}
		s.service.TLS = s.identity.config()
	}
	registry := s.registry()
	registry.Handler = s.handle
	registry.SessionManager().ValidLogin = s.validLogin
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sdk", s.serveSDK)
	mux.HandleFunc("POST /sdk/vimService", s.serveSDK)
	mux.HandleFunc("POST "+pbm.Path, s.serveSDK)
	mux.HandleFunc("/nfc/{lease}/{target}", s.serveNFC)
	s.service.ServeMux = mux
	s.service.RegisterEndpoints = true
	s.service.Listen = &url.URL{Host: o.listen, User: url.UserPassword(o.username, o.password)}
	s.server = s.service.NewServer()

	if o.nfcListen != "" {
		if err = s.serveHost(); err != nil {
			return err
		}
	}
	if storage := s.service.Context.For(pbm.Path).Map; storage != nil {
		storage.Handler = s.handleStorage
	}
	if err = s.addressHosts(); err != nil {
		return err
	}
	return s.serveControl()
}

// serveHost gives file transfer its own address and certificate, as on ESXi hosts.
func (s *Simulator) serveHost() (err error) {
	listener, err := net.Listen("tcp", s.options.nfcListen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/nfc/{lease}/{target}", s.serveNFC)
	s.nfc = &http.Server{Handler: mux}
	s.nfcURL = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	if s.identity == nil {
		go func() { _ = s.nfc.Serve(listener) }()
		return nil
	}
	s.nfcURL.Scheme = "https"
	if s.nfcID, err = selfSigned("simulated ESXi host", filepath.Join(s.state, "host.pem")); err != nil {
		return err
	}
	s.nfc.TLSConfig = s.nfcID.config()
	go func() { _ = s.nfc.ServeTLS(listener, "", "") }()
	return nil
}

func (s *Simulator) serveControl() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secret := make([]byte, 16)
	if _, err = rand.Read(secret); err != nil {
		return err
	}
	s.token = hex.EncodeToString(secret)
	s.address = "http://" + listener.Addr().String() + "/" + s.token
	s.control = &http.Server{Handler: http.StripPrefix("/"+s.token, s.controlMux())}
	go func() { _ = s.control.Serve(listener) }()
	return nil
}

// nfcEndpoint returns the URL of file transfers and the thumbprint that clients receive.
func (s *Simulator) nfcEndpoint() (*url.URL, string) {
	endpoint := &url.URL{Scheme: s.server.URL.Scheme, Host: s.server.URL.Host}
	owner := s.identity
	if s.nfcURL != nil {
		endpoint.Host, owner = s.nfcURL.Host, s.nfcID
	}
	current := s.settings.get()
	if current.StarHost {
		endpoint.Host = "*:" + endpoint.Port()
		if current.StarPort {
			endpoint.Host = "*"
		}
	}
	print := ""
	if owner != nil {
		print = owner.thumbprint
	}
	if current.Thumbprint != "" {
		print = current.Thumbprint
	}
	return endpoint, print
}

// info has the data that a client needs to connect.
func (s *Simulator) info() map[string]any {
	info := map[string]any{
		"url":     s.server.URL.Scheme + "://" + s.server.URL.Host + "/sdk",
		"control": s.address,
		"pid":     os.Getpid(),
		"state":   s.state,
	}
	if s.identity != nil {
		info["ca_file"], info["thumbprint"] = s.identity.file, s.identity.thumbprint
	}
	if s.nfcURL != nil {
		info["nfc_url"] = s.nfcURL.String()
	}
	if s.nfcID != nil {
		info["nfc_ca_file"], info["nfc_thumbprint"] = s.nfcID.file, s.nfcID.thumbprint
	}
	return info
}

// sweep forgets the bytes of disks whose files were removed from their datastores.
func (s *Simulator) sweep() {
	s.store.mu.Lock()
	ids := make([]diskID, 0, len(s.store.disks))
	for id := range s.store.disks {
		ids = append(ids, id)
	}
	s.store.mu.Unlock()
	var gone []diskID
	for _, id := range ids {
		var file object.DatastorePath
		datacenter, ok := s.registry().Get(id.datacenter).(*simulator.Datacenter)
		if !ok || !file.FromString(id.path) {
			continue
		}
		datastore, ok := s.registry().FindByName(file.Datastore, datacenter.Datastore).(*simulator.Datastore)
		if !ok {
			continue
		}
		if _, err := os.Stat(path.Join(datastore.Summary.Url, file.Path)); os.IsNotExist(err) {
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		s.store.drop(gone)
	}
}

// isDown reports whether vCenter is being restarted.
func (s *Simulator) isDown() bool {
	s.downMu.Lock()
	defer s.downMu.Unlock()
	return time.Now().Before(s.downUntil)
}

// restart makes vCenter unreachable for a while; all sessions have ended afterwards. The mode decides about
// open leases: "keep" them, "abort" them, or "orphan" the VMs that they were importing.
func (s *Simulator) restart(down time.Duration, leases string) {
	s.downMu.Lock()
	s.downUntil = time.Now().Add(down)
	s.downMu.Unlock()
	if leases != "keep" {
		s.endLeases(nil, leases == "orphan", "vCenter was restarted.")
	}
	s.endSessions()
}

// Close ends the guests, closes the listeners and removes the stored files.
func (s *Simulator) Close() {
	select {
	case <-s.done:
		return
	default:
		close(s.done)
	}
	if s.guests != nil {
		s.guests.stopAll()
	}
	for _, server := range []*http.Server{s.control, s.nfc} {
		if server != nil {
			_ = server.Close()
		}
	}
	if s.server != nil {
		s.server.CloseClientConnections()
		_ = s.server.Listener.Close()
	}
	if s.model != nil && s.model.Service != nil {
		s.model.Remove()
	}
	if s.state != "" {
		_ = os.RemoveAll(s.state)
	}
}
