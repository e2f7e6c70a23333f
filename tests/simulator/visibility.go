// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"reflect"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// The overrides of this file answer a user with roles: what the user may not see is left out.
type (
	collectorOverride struct {
		*override
		collector *simulator.PropertyCollector
	}
	searchOverride struct {
		*override
		index *simulator.SearchIndex
	}
	authorizationOverride struct {
		*override
		manager *simulator.AuthorizationManager
	}
)

// RetrievePropertiesEx leaves out hidden objects.
func (o *collectorOverride) RetrievePropertiesEx(ctx *simulator.Context, req *types.RetrievePropertiesEx) soap.HasFault {
	answer := o.collector.RetrievePropertiesEx(ctx, req)
	if body, ok := answer.(*methods.RetrievePropertiesExBody); ok && body.Res != nil && body.Res.Returnval != nil {
		body.Res.Returnval.Objects = o.visible(ctx, body.Res.Returnval.Objects, req.SpecSet)
	}
	return answer
}

// ContinueRetrievePropertiesEx leaves out hidden objects.
func (o *collectorOverride) ContinueRetrievePropertiesEx(ctx *simulator.Context, req *types.ContinueRetrievePropertiesEx) soap.HasFault {
	answer := o.collector.ContinueRetrievePropertiesEx(ctx, req)
	if body, ok := answer.(*methods.ContinueRetrievePropertiesExBody); ok && body.Res != nil {
		body.Res.Returnval.Objects = o.visible(ctx, body.Res.Returnval.Objects, nil)
	}
	return answer
}

// RetrieveProperties leaves out hidden objects.
func (o *collectorOverride) RetrieveProperties(ctx *simulator.Context, req *types.RetrieveProperties) soap.HasFault {
	answer := o.collector.RetrieveProperties(ctx, req)
	if body, ok := answer.(*methods.RetrievePropertiesBody); ok && body.Res != nil {
		body.Res.Returnval = o.visible(ctx, body.Res.Returnval, req.SpecSet)
	}
	return answer
}

// WaitForUpdatesEx reports no properties of hidden objects.
func (o *collectorOverride) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	answer := o.collector.WaitForUpdatesEx(ctx, req)
	body, ok := answer.(*methods.WaitForUpdatesExBody)
	user := o.sim.restricted(ctx)
	if !ok || user == nil || body.Res == nil || body.Res.Returnval == nil {
		return answer
	}
	for i := range body.Res.Returnval.FilterSet {
		for j := range body.Res.Returnval.FilterSet[i].ObjectSet {
			update := &body.Res.Returnval.FilterSet[i].ObjectSet[j]
			if !o.sim.hidden(user, update.Obj) {
				continue
			}
			for _, change := range update.ChangeSet {
				update.MissingSet = append(update.MissingSet, unreadable(update.Obj, change.Name))
			}
			update.ChangeSet = nil
		}
	}
	return answer
}

// Fetch, which pyVmomi calls for each attribute, is not part of the public API: its types are internal to govmomi.
func (o *collectorOverride) Fetch(ctx *simulator.Context, req any) soap.HasFault {
	call := reflect.ValueOf(o.collector).MethodByName("Fetch").Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(req)})
	answer := call[0].Interface().(soap.HasFault)
	user := o.sim.restricted(ctx)
	if response := reflect.ValueOf(answer).Elem().FieldByName("Res"); user != nil && !response.IsNil() {
		this := reflect.ValueOf(req).Elem().FieldByName("This").Interface().(types.ManagedObjectReference)
		value := response.Elem().FieldByName("Returnval")
		if kept := o.sim.visibleValue(user, this.Type, value.Interface()); kept != nil {
			value.Set(reflect.ValueOf(kept))
		}
	}
	return answer
}

func unreadable(ref types.ManagedObjectReference, path string) types.MissingProperty {
	fault := &types.NoPermission{Object: &ref, PrivilegeId: systemView}
	return types.MissingProperty{Path: path, Fault: *localized(fault, "Permission to perform this operation was denied.")}
}

// visible drops hidden objects that a view contains. An object that the request names, or whose reference the user may see, is
// reported without its properties.
func (o *collectorOverride) visible(ctx *simulator.Context, found []types.ObjectContent, specs []types.PropertyFilterSpec) []types.ObjectContent {
	user := o.sim.restricted(ctx)
	if user == nil {
		return found
	}
	named := map[types.ManagedObjectReference]bool{}
	throughView := false
	for _, spec := range specs {
		for _, object := range spec.ObjectSet {
			named[object.Obj] = true
			throughView = throughView || strings.HasSuffix(object.Obj.Type, "View")
		}
	}
	reached := !throughView && o.sim.settings.get().HiddenReferences == "show"
	var kept []types.ObjectContent
	for _, content := range found {
		if !o.sim.hidden(user, content.Obj) {
			for i := range content.PropSet {
				content.PropSet[i].Val = o.sim.visibleValue(user, content.Obj.Type, content.PropSet[i].Val)
			}
			kept = append(kept, content)
			continue
		}
		if !named[content.Obj] && !reached {
			continue
		}
		for _, property := range content.PropSet {
			content.MissingSet = append(content.MissingSet, unreadable(content.Obj, property.Name))
		}
		content.PropSet = nil
		kept = append(kept, content)
	}
	return kept
}

// visibleValue leaves hidden objects out of a list of references. It depends on the setting hidden_references whether the
// properties of inventory objects list them; views never do.
func (s *Simulator) visibleValue(user *account, owner string, value types.AnyType) types.AnyType {
	if owner != "ContainerView" && s.settings.get().HiddenReferences == "show" {
		return value
	}
	drop := func(refs []types.ManagedObjectReference) []types.ManagedObjectReference {
		return slices.DeleteFunc(slices.Clone(refs), func(ref types.ManagedObjectReference) bool { return s.hidden(user, ref) })
	}
	switch list := value.(type) {
	case []types.ManagedObjectReference:
		return drop(list)
	case types.ArrayOfManagedObjectReference:
		return types.ArrayOfManagedObjectReference{ManagedObjectReference: drop(list.ManagedObjectReference)}
	case *types.ArrayOfManagedObjectReference:
		return &types.ArrayOfManagedObjectReference{ManagedObjectReference: drop(list.ManagedObjectReference)}
	}
	return value
}

// FindByUuid finds only what the user may see.
func (o *searchOverride) FindByUuid(ctx *simulator.Context, req *types.FindByUuid) soap.HasFault {
	answer := o.index.FindByUuid(ctx, req)
	if body, ok := answer.(*methods.FindByUuidBody); ok && body.Res != nil {
		body.Res.Returnval = o.found(ctx, body.Res.Returnval)
	}
	return answer
}

// FindAllByUuid finds only what the user may see.
func (o *searchOverride) FindAllByUuid(ctx *simulator.Context, req *types.FindAllByUuid) soap.HasFault {
	answer := o.index.FindAllByUuid(ctx, req)
	if body, ok := answer.(*methods.FindAllByUuidBody); ok && body.Res != nil {
		body.Res.Returnval = slices.DeleteFunc(body.Res.Returnval, func(ref types.ManagedObjectReference) bool {
			return o.found(ctx, &ref) == nil
		})
	}
	return answer
}

// FindByInventoryPath finds only what the user may see.
func (o *searchOverride) FindByInventoryPath(ctx *simulator.Context, req *types.FindByInventoryPath) soap.HasFault {
	answer := o.index.FindByInventoryPath(ctx, req)
	if body, ok := answer.(*methods.FindByInventoryPathBody); ok && body.Res != nil {
		body.Res.Returnval = o.found(ctx, body.Res.Returnval)
	}
	return answer
}

// FindChild finds only what the user may see.
func (o *searchOverride) FindChild(ctx *simulator.Context, req *types.FindChild) soap.HasFault {
	answer := o.index.FindChild(ctx, req)
	if body, ok := answer.(*methods.FindChildBody); ok && body.Res != nil {
		body.Res.Returnval = o.found(ctx, body.Res.Returnval)
	}
	return answer
}

func (o *searchOverride) found(ctx *simulator.Context, ref *types.ManagedObjectReference) *types.ManagedObjectReference {
	if user := o.sim.restricted(ctx); user == nil || ref == nil || !o.sim.hidden(user, *ref) {
		return ref
	}
	return nil
}

// granted reports for each object which of the privileges a user holds; the administrator holds all.
func (o *authorizationOverride) granted(name string, entities []types.ManagedObjectReference, privileges []string) []types.EntityPrivilege {
	user := o.sim.accounts.find(name)
	var answer []types.EntityPrivilege
	for _, entity := range entities {
		entry := types.EntityPrivilege{Entity: entity}
		for _, privilege := range privileges {
			entry.PrivAvailability = append(entry.PrivAvailability, types.PrivilegeAvailability{
				PrivId: privilege, IsGranted: user == nil || o.sim.held(user, o.sim.entityOf(entity), privilege),
			})
		}
		answer = append(answer, entry)
	}
	return answer
}

// HasUserPrivilegeOnEntities reports the privileges of a user.
func (o *authorizationOverride) HasUserPrivilegeOnEntities(_ *simulator.Context, req *types.HasUserPrivilegeOnEntities) soap.HasFault {
	return &methods.HasUserPrivilegeOnEntitiesBody{Res: &types.HasUserPrivilegeOnEntitiesResponse{
		Returnval: o.granted(req.UserName, req.Entities, req.PrivId),
	}}
}

// HasPrivilegeOnEntities reports the privileges of the user of a session.
func (o *authorizationOverride) HasPrivilegeOnEntities(ctx *simulator.Context, req *types.HasPrivilegeOnEntities) soap.HasFault {
	body := new(methods.HasPrivilegeOnEntitiesBody)
	if ctx.Session == nil || ctx.Session.Key != req.SessionId {
		body.Fault_ = simulator.Fault("The session does not exist.", &types.InvalidArgument{InvalidProperty: "sessionId"})
		return body
	}
	body.Res = &types.HasPrivilegeOnEntitiesResponse{Returnval: o.granted(ctx.Session.UserName, req.Entity, req.PrivId)}
	return body
}

// FetchUserPrivilegeOnEntities lists the privileges of a user.
func (o *authorizationOverride) FetchUserPrivilegeOnEntities(ctx *simulator.Context, req *types.FetchUserPrivilegeOnEntities) soap.HasFault {
	user := o.sim.accounts.find(req.UserName)
	if user == nil {
		return o.manager.FetchUserPrivilegeOnEntities(req)
	}
	answer := new(types.FetchUserPrivilegeOnEntitiesResponse)
	for _, entity := range req.Entities {
		result := types.UserPrivilegeResult{Entity: entity}
		for _, known := range user.permissions {
			for privilege := range known.privileges {
				if !slices.Contains(result.Privileges, privilege) && o.sim.held(user, entity, privilege) {
					result.Privileges = append(result.Privileges, privilege)
				}
			}
		}
		slices.Sort(result.Privileges)
		answer.Returnval = append(answer.Returnval, result)
	}
	return &methods.FetchUserPrivilegeOnEntitiesBody{Res: answer}
}

// RetrieveEntityPermissions lists the permissions on an object, those of users with roles too. With inherited, those above it follow.
func (o *authorizationOverride) RetrieveEntityPermissions(ctx *simulator.Context, req *types.RetrieveEntityPermissions) soap.HasFault {
	answer := o.manager.RetrieveEntityPermissions(ctx, req)
	body, ok := answer.(*methods.RetrieveEntityPermissionsBody)
	if !ok || body.Res == nil {
		return answer
	}
	o.sim.accounts.mu.Lock()
	defer o.sim.accounts.mu.Unlock()
	entities := []types.ManagedObjectReference{req.Entity}
	for i := 0; req.Inherited && i < len(entities); i++ {
		entities = append(entities, o.sim.parents(entities[i])...)
	}
	body.Res.Returnval = slices.Clone(body.Res.Returnval)
	for _, entity := range entities {
		for name, user := range o.sim.accounts.accounts {
			if known, ok := user.permissions[entity]; ok {
				body.Res.Returnval = append(body.Res.Returnval, types.Permission{
					Entity: &entity, Principal: name, Propagate: known.propagate,
				})
			}
		}
	}
	return body
}

// limited returns the override of a service that answers a user with roles, nil if the call needs none.
func (s *Simulator) limited(ctx *simulator.Context, method *simulator.Method, target mo.Reference, base *override) mo.Reference {
	switch service := target.(type) {
	case *simulator.AuthorizationManager:
		return &authorizationOverride{base, service}
	case *simulator.SearchIndex:
		return &searchOverride{base, service}
	}
	if s.restricted(ctx) == nil {
		return nil
	}
	// A property collector belongs to its session.
	if collector, ok := ctx.Session.Get(method.This).(*simulator.PropertyCollector); ok {
		return &collectorOverride{base, collector}
	}
	return nil
}
