// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Replacements of programs of Windows and VMware Tools that wine lacks: one program that acts by its own name.
//
// All of them append a JSON line [name, arguments...] to the file that $STRATA_GUEST_CALLS names.
//
//	vmtoolsd     --cmd "info-set KEY VALUE", --cmd "info-get KEY"; the values are in $STRATA_GUEST_INFO, a JSON object
//	shutdown     only appends its line; after a delayed shutdown, further calls are refused without a line until /a
//	schtasks     /create, /query and /delete manage a file for each task below C:\Windows\System32\Tasks
//	powershell   prints and exits as the lines "#output TEXT" and "#exit CODE" of its script specify
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

func main() {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(os.Args[0])), ".exe")
	if name == "shutdown" && scheduled(os.Args[1:]) {
		fmt.Fprintln(os.Stderr, "A system shutdown has already been scheduled.(1190)")
		os.Exit(1190)
	}
	note(append([]string{name}, os.Args[1:]...))
	os.Exit(map[string]func([]string) int{
		"vmtoolsd": vmtoolsd, "shutdown": func([]string) int { return 0 }, "schtasks": schtasks, "powershell": powershell,
	}[name](os.Args[1:]))
}

func note(call []string) {
	line, _ := json.Marshal(call)
	file, err := os.OpenFile(os.Getenv("STRATA_GUEST_CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.Write(append(line, '\n'))
		_ = file.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}

// scheduled returns whether a shutdown is refused because an earlier shutdown waits, and records a delayed shutdown.
func scheduled(arguments []string) bool {
	line := strings.ToLower(strings.Join(arguments, " "))
	path := os.Getenv("STRATA_GUEST_INFO") + ".shutdown"
	if strings.Contains(line, "/a") {
		_ = os.Remove(path)
		return false
	}
	if _, err := os.Stat(path); err == nil {
		return true
	}
	if !strings.Contains(line, "/t 0") {
		_ = os.WriteFile(path, []byte(line), 0o644)
	}
	return false
}

func vmtoolsd(arguments []string) int {
	if len(arguments) != 2 || arguments[0] != "--cmd" {
		return 64
	}
	verb, rest, _ := strings.Cut(arguments[1], " ")
	values := map[string]string{}
	path := os.Getenv("STRATA_GUEST_INFO")
	if data, err := os.ReadFile(path); err == nil {
		_ = json.Unmarshal(data, &values)
	}
	switch verb {
	case "info-get":
		value, found := values[rest]
		if !found {
			fmt.Fprintln(os.Stderr, "No value found")
			return 1
		}
		fmt.Println(value)
	case "info-set":
		key, value, _ := strings.Cut(rest, " ")
		if !strings.HasPrefix(key, "guestinfo.") {
			return 1
		}
		values[key] = value
		data, _ := json.Marshal(values)
		if os.WriteFile(path+".part", data, 0o644) != nil || os.Rename(path+".part", path) != nil {
			return 1
		}
	default:
		return 64
	}
	return 0
}

func schtasks(arguments []string) int {
	options := map[string]string{}
	for i := 0; i < len(arguments); i++ {
		option := strings.ToLower(arguments[i])
		if i+1 < len(arguments) && !strings.HasPrefix(arguments[i+1], "/") {
			i++
			options[option] = arguments[i]
		} else {
			options[option] = ""
		}
	}
	path := filepath.Join(os.Getenv("SystemRoot"), "System32", "Tasks", options["/tn"])
	has := func(option string) bool { _, found := options[option]; return found }
	var err error
	switch {
	case options["/tn"] == "":
		return 1
	case has("/create"):
		if _, exists := os.Stat(path); exists == nil && !has("/f") {
			return 1
		}
		err = os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			data, _ := json.Marshal(options)
			err = os.WriteFile(path, data, 0o644)
		}
	case has("/query"):
		_, err = os.Stat(path)
	case has("/delete"):
		err = os.Remove(path)
	default:
		return 1
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR: The system cannot find the file specified.")
		return 1
	}
	return 0
}

func powershell(arguments []string) int {
	for i, argument := range arguments[:max(0, len(arguments)-1)] {
		if argument != "-File" {
			continue
		}
		file, err := os.Open(arguments[i+1])
		if err != nil {
			return 64
		}
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if text, found := strings.CutPrefix(lines.Text(), "#output "); found {
				fmt.Println(text)
			} else if text, found := strings.CutPrefix(lines.Text(), "#exit "); found {
				code, _ := strconv.Atoi(strings.TrimSpace(text))
				return code
			}
		}
		return 0
	}
	return 64
}
