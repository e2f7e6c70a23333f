// Copyright: (c) 2026, the strata.layering contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Replacements of programs of Windows and VMware Tools that wine lacks: one program that acts by its own name.
//
// All of them append a JSON line [name, arguments...] to the file that $STRATA_GUEST_CALLS names.
//
//	vmtoolsd     --cmd "info-set KEY VALUE", --cmd "info-get KEY"; the values are in $STRATA_GUEST_INFO, a JSON object
//	shutdown     only appends its line; after a delayed shutdown, further calls are refused without a line until /a
//	schtasks     /create /xml, /query and /delete manage a file for each task below C:\Windows\System32\Tasks
//	powershell   prints and exits as the lines "#output TEXT" and "#exit CODE" of its script specify
//	findstr      /v, /i, /c:PATTERN and at most one file, with a regular expression that Go understands in the same way
//	cscript      prints the lines that begin with "#" and the option of ospp.vbs in that file: "#/act TEXT"
//
// netsh, tasklist, sc and powershell -Command print and exit as the file C:\stubs\NAME.txt specifies: each call uses the
// next line "CODE|TEXT", the last line is used again. Without the file, the network is up and nothing is being installed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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
		"findstr": findstr, "cscript": cscript,
		"netsh":    func([]string) int { return stub("netsh", "0|No  Manual  0  0.0.0.0/0  12  192.0.2.1") },
		"tasklist": func([]string) int { return stub("tasklist", "0|INFO: No tasks are running.") },
		"sc":       func([]string) int { return stub("sc", "0|STATE : 4  RUNNING") },
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
			var data []byte
			if data, err = os.ReadFile(options["/xml"]); err == nil {
				err = os.WriteFile(path, data, 0o644)
			}
		}
	case has("/query"):
		var data []byte
		if data, err = os.ReadFile(path); err == nil && has("/xml") {
			_, err = os.Stdout.Write(data)
		}
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

// stub prints and returns what the next line of the program's file specifies.
func stub(name, otherwise string) int {
	path := filepath.Join("C:\\stubs", name)
	lines := []string{otherwise}
	if data, err := os.ReadFile(path + ".txt"); err == nil {
		lines = strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	used, _ := os.ReadFile(path + ".used")
	_ = os.WriteFile(path+".used", append(used, '.'), 0o644)
	code, text, _ := strings.Cut(strings.TrimSpace(lines[min(len(used), len(lines)-1)]), "|")
	fmt.Println(strings.ReplaceAll(text, "~", "\n"))
	number, _ := strconv.Atoi(code)
	return number
}

func findstr(arguments []string) int {
	var invert, fold bool
	var pattern, file string
	for _, argument := range arguments {
		switch {
		case argument == "/v":
			invert = true
		case argument == "/i":
			fold = true
		case argument == "/r":
		case strings.HasPrefix(argument, "/c:"):
			pattern = argument[3:]
		default:
			file = argument
		}
	}
	if fold {
		pattern = "(?i)" + pattern
	}
	expression, err := regexp.Compile(pattern)
	data, problem := os.ReadFile(file)
	if file == "" {
		data, problem = io.ReadAll(os.Stdin)
	}
	if err != nil || problem != nil {
		return 2
	}
	code := 1
	for _, line := range strings.SplitAfter(string(data), "\n") {
		if line != "" && expression.MatchString(line) != invert {
			code = 0
			fmt.Print(line)
		}
	}
	return code
}

func cscript(arguments []string) int {
	if len(arguments) != 3 {
		return 64
	}
	data, err := os.ReadFile(arguments[1])
	if err != nil {
		return 1
	}
	option, _, _ := strings.Cut(arguments[2], ":")
	fmt.Println("---Processing--------------------------")
	for _, line := range strings.Split(string(data), "\n") {
		if text, found := strings.CutPrefix(strings.TrimSpace(line), "#"+option+" "); found {
			fmt.Println(text)
		}
	}
	return 0
}

func powershell(arguments []string) int {
	if len(arguments) > 1 && arguments[len(arguments)-2] == "-Command" {
		return stub("powershell", "0|")
	}
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
