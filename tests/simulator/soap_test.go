// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func TestPeek(t *testing.T) {
	body := `<?xml version="1.0"?><s:Envelope xmlns:s="x"><s:Header><operationID>1</operationID></s:Header>` +
		`<s:Body><PowerOnVM_Task xmlns="urn:vim25"><_this type="v:VirtualMachine">vm-7</_this></PowerOnVM_Task></s:Body></s:Envelope>`
	found := peek([]byte(body))
	if found.method != "PowerOnVM_Task" || found.this != (types.ManagedObjectReference{Type: "VirtualMachine", Value: "vm-7"}) {
		t.Errorf("%+v", found)
	}
	for _, bad := range []string{"", "<", "<a/>", "<Envelope><Body/></Envelope>", "<Envelope><Body><X><y/></X></Body></Envelope>"} {
		if found := peek([]byte(bad)); found.this.Value != "" {
			t.Errorf("%q: %+v", bad, found)
		}
	}
}

func TestFaultsAreReadable(t *testing.T) {
	answer := httptest.NewRecorder()
	writeFault(answer, "a < b", &types.NoDiskSpace{Datastore: "ds"})
	text := answer.Body.String()
	for _, want := range []string{"a &lt; b", `<NoDiskSpaceFault xmlns="urn:vim25" xsi:type="NoDiskSpace">`, "<datastore>ds</datastore>"} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	kept := &recorder{status: answer.Code}
	kept.body.WriteString(text)
	if kept.fault() != "NoDiskSpace" {
		t.Errorf("fault %q", kept.fault())
	}
}
