// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"time"

	vimxml "github.com/vmware/govmomi/vim25/xml"

	"github.com/vmware/govmomi/vim25/types"
)

const maxRequest = 64 << 20

// call has the facts of a SOAP request that are known without decoding it.
type call struct {
	method string
	this   types.ManagedObjectReference
	name   string // of the object, or of the VM that is to be made
}

// peek finds the method and its object in a SOAP envelope.
func peek(body []byte) call {
	var found call
	decoder := xml.NewDecoder(bytes.NewReader(body))
	inBody := false
	for {
		token, err := decoder.Token()
		if err != nil {
			return found
		}
		start, ok := token.(xml.StartElement)
		switch {
		case !ok:
		case !inBody:
			inBody = start.Name.Local == "Body"
		case found.method == "":
			found.method = start.Name.Local
		case start.Name.Local == "_this":
			for _, attr := range start.Attr {
				if attr.Name.Local == "type" {
					found.this.Type = attr.Value[strings.LastIndexByte(attr.Value, ':')+1:]
				}
			}
			_ = decoder.DecodeElement(&found.this.Value, &start)
			return found
		default:
			return found
		}
	}
}

var (
	nameElement = regexp.MustCompile(`<(?:\w+:)?name>([^<]*)</`)
	badEntity   = regexp.MustCompile(`<entity type="(?:FileManager|VirtualDiskManager)">[^<]*</entity>`)
	newProperty = regexp.MustCompile(`<k8sCompliantName>[^<]*</k8sCompliantName>`) // vCenter sends it only to clients that know it
	faultType   = regexp.MustCompile(`<(\w+)Fault [^>]*xsi:type=`)
)

// describe names the object of a call.
func (s *Simulator) describe(body []byte) call {
	found := peek(body)
	switch found.method {
	case "ImportVApp", "CreateVM_Task", "CloneVM_Task":
		if match := nameElement.FindSubmatch(body); match != nil {
			found.name = html.UnescapeString(string(match[1]))
		}
	default:
		if lease := s.leases.find(found.this.Value); lease != nil {
			found.name = s.entityName(lease.vmReference())
		} else {
			found.name = s.entityName(found.this)
		}
	}
	return found
}

// serveSDK is the door to vcsim's SOAP endpoint: it keeps the journal and applies the rules.
func (s *Simulator) serveSDK(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	called := s.describe(body)
	seen := s.journal.start(entry{
		Kind: "soap", Method: called.method, Type: called.this.Type, Object: called.this.Value, Name: called.name,
	})
	answer := &recorder{header: http.Header{}}
	ruleID := 0
	defer func() {
		reason := recover()
		s.journal.finish(seen, func(e *entry) {
			e.Rule, e.Status, e.Fault = ruleID, answer.status, answer.fault()
		})
		if reason != nil {
			panic(reason)
		}
	}()
	if s.isDown() {
		panic(http.ErrAbortHandler)
	}
	objects := []string{called.name, called.this.Value}
	if own := s.entityName(called.this); own != "" {
		objects = append(objects, own)
	}
	hit := s.rules.match(called.method, objects...)
	if hit != nil {
		ruleID = hit.ID
		if s.applyRule(answer, r, called, hit) {
			answer.copyTo(w)
			return
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.service.ServeSDK(answer, r)
	answer.mend(called.method)
	if hit != nil && hit.After {
		if s.obstruct(w, r, hit) {
			return
		}
	}
	answer.copyTo(w)
}

// applyRule applies a rule before the call; it reports whether the call ends with that.
func (s *Simulator) applyRule(w http.ResponseWriter, r *http.Request, called call, hit *rule) bool {
	if hit.After {
		return false
	}
	if hit.Fault == "" {
		return s.obstruct(w, r, hit)
	}
	fault, _ := hit.fault()
	if hit.Task {
		s.failTask(w, called, hit, fault)
		return true
	}
	s.pause(r, hit)
	if hit.Fault == "NotAuthenticated" {
		if cookie, err := r.Cookie("vmware_soap_session"); err == nil {
			s.endSessions(cookie.Value)
		}
	}
	writeFault(w, hit.message(), fault)
	return true
}

// failTask answers with a task that ends in the fault after the rule's delay.
func (s *Simulator) failTask(w http.ResponseWriter, called call, hit *rule, fault types.BaseMethodFault) {
	entity := s.registry().Get(called.this)
	if entity == nil {
		writeFault(w, "The object is gone.", &types.ManagedObjectNotFound{Obj: called.this})
		return
	}
	task := s.startTask(entity, strings.TrimSuffix(called.method, "_Task")+"Task")
	go func() {
		select {
		case <-time.After(time.Duration(hit.DelayMS) * time.Millisecond):
		case <-s.done:
		}
		task.end(nil, localized(fault, hit.message()))
	}()
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	fmt.Fprintf(w, envelope, fmt.Sprintf(`<%sResponse xmlns="urn:vim25"><returnval type="Task">%s</returnval></%sResponse>`,
		called.method, task.task.Self.Value, called.method))
}

const envelope = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/" ` +
	`xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" ` +
	`xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>%s</soapenv:Body></soapenv:Envelope>`

// writeFault answers with a SOAP fault.
func writeFault(w http.ResponseWriter, message string, fault types.BaseMethodFault) {
	kind := reflect.TypeOf(fault).Elem().Name()
	var detail bytes.Buffer
	_ = vimxml.NewEncoder(&detail).EncodeElement(fault, vimxml.StartElement{
		Name: vimxml.Name{Local: kind + "Fault"},
		Attr: []vimxml.Attr{
			{Name: vimxml.Name{Local: "xmlns"}, Value: "urn:vim25"},
			{Name: vimxml.Name{Local: "xsi:type"}, Value: kind},
		},
	})
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprintf(w, envelope, "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>"+
		escape(message)+"</faultstring><detail>"+detail.String()+"</detail></soapenv:Fault>")
}

// recorder keeps an answer until it is sent, replaced or dropped.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *recorder) Header() http.Header { return a.header }

func (a *recorder) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *recorder) Write(data []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(data)
}

// fault names the fault in the answer, if there is one.
func (a *recorder) fault() string {
	if a.status != http.StatusInternalServerError {
		return ""
	}
	if match := faultType.FindSubmatch(a.body.Bytes()); match != nil {
		return string(match[1])
	}
	return ""
}

// mend corrects answers of vcsim that clients cannot read: a Fetch of an unset property, tasks
// whose entity is a manager, faults without a sentence.
func (a *recorder) mend(method string) {
	if method == "Fetch" && bytes.Contains(a.body.Bytes(), []byte("<RetrievePropertiesExResponse")) {
		a.body.Reset()
		fmt.Fprintf(&a.body, envelope, `<FetchResponse xmlns="urn:vim25"/>`)
	}
	body := a.body.Bytes()
	if a.status == http.StatusInternalServerError {
		text := "<faultstring>" + escape(faultMessage(a.fault())) + "</faultstring>"
		a.replace(bytes.Replace(body, emptyString, []byte(text), 1))
		return
	}
	if strings.HasPrefix(method, "Pbm") {
		body = newProperty.ReplaceAll(body, nil)
	}
	if bytes.Contains(body, []byte(`Manager">`)) {
		body = badEntity.ReplaceAll(body, nil)
	}
	if bytes.Contains(body, []byte("<localizedMessage>*types.")) {
		body = goType.ReplaceAllFunc(body, func(found []byte) []byte {
			kind := string(goType.FindSubmatch(found)[1])
			return []byte("<localizedMessage>" + escape(faultMessage(kind)) + "</localizedMessage>")
		})
	}
	a.replace(body)
}

// replace puts a body in place of the recorded body, of which it may be a part.
func (a *recorder) replace(body []byte) {
	a.body = *bytes.NewBuffer(body)
}

func (a *recorder) copyTo(w http.ResponseWriter) {
	for key, values := range a.header {
		w.Header()[key] = values
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(a.body.Bytes())
}
