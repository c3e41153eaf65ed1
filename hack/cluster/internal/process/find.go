package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ID names a process so that a later process with the same number is not taken for it.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks between the machine's start and the process's
	Boot  string `json:"boot"`  // the machine's start
}

// Identify describes a living process.
func Identify(pid int) (ID, error) { return identify("/proc", pid) }

// Alive tells whether the very process still runs. A zombie does not.
func (i ID) Alive() bool {
	now, err := identify("/proc", i.PID)
	return err == nil && now == i
}

var errEnded = errors.New("process has ended")

func identify(proc string, pid int) (ID, error) {
	boot, err := os.ReadFile(filepath.Join(proc, "sys/kernel/random/boot_id"))
	if err != nil {
		return ID{}, fmt.Errorf("read boot id: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return ID{}, fmt.Errorf("read process state: %w", err)
	}
	// the second field is the program's name in brackets, which may hold anything
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return ID{}, errors.New("read process state: too few fields")
	}
	if f[0] == "Z" || f[0] == "X" {
		return ID{}, errEnded
	}
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return ID{}, fmt.Errorf("read process start: %w", err)
	}
	return ID{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// Children are the children of a process with their command lines.
func Children(pid int) (map[int][]string, error) { return children("/proc", pid) }

func children(proc string, pid int) (map[int][]string, error) {
	lists, err := filepath.Glob(filepath.Join(proc, strconv.Itoa(pid), "task/*/children")) // one list for each thread
	if err != nil {
		return nil, fmt.Errorf("find children: %w", err)
	}
	out := map[int][]string{}
	for _, l := range lists {
		b, err := os.ReadFile(l)
		if err != nil {
			continue // the thread has ended meanwhile
		}
		for _, word := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("read children: %w", err)
			}
			line, err := os.ReadFile(filepath.Join(proc, word, "cmdline"))
			if err != nil {
				continue
			}
			out[child] = strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")
		}
	}
	return out, nil
}
