// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// versionParts returns the numbers of a version such as "8.0.3.0".
func versionParts(version string) []int {
	var parts []int
	for _, text := range strings.Split(version, ".") {
		number, _ := strconv.Atoi(text)
		parts = append(parts, number)
	}
	for len(parts) < 4 {
		parts = append(parts, 0)
	}
	return parts
}

// dropNewer clears the fields of a structure that the API of this vCenter does not have yet: pyVmomi, which then uses the
// older API as well, cannot read them. Structures behind pointers are copied first.
func (s *Simulator) dropNewer(value reflect.Value) {
	known := versionParts(s.options.apiVersion)
	for i := range value.NumField() {
		field := value.Field(i)
		since := value.Type().Field(i).Tag.Get("vim")
		switch {
		case since != "" && slices.Compare(versionParts(since), known) > 0:
			field.SetZero()
		case field.Kind() == reflect.Struct && field.NumField() > 0 && field.Field(0).CanSet():
			s.dropNewer(field)
		case field.Kind() == reflect.Pointer && !field.IsNil() && field.Elem().Kind() == reflect.Struct && field.Elem().NumField() > 0:
			copied := reflect.New(field.Elem().Type())
			copied.Elem().Set(field.Elem())
			if copied.Elem().Field(0).CanSet() {
				s.dropNewer(copied.Elem())
				field.Set(copied)
			}
		}
	}
}
