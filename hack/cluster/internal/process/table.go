// Package process is what a first process of a PID namespace needs: it starts programs, keeps them running, and reaps
// every process that ends in the namespace, also those it did not start. Only one Table may exist in a program, and
// while it does nothing else there may wait for children.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

// pause is the time between the end of a program that shall run always and its next start.
const pause = time.Second

// Table knows the children that somebody waits for.
type Table struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
}

// New returns a table that reaps until ctx ends.
func New(ctx context.Context) *Table {
	t := &Table{waiting: map[int]chan syscall.WaitStatus{}}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGCHLD)
	go func() {
		defer signal.Stop(c)
		for {
			select {
			case <-ctx.Done():
				return
			case <-c:
				t.reap()
			}
		}
	}()
	return t
}

// reap collects all that have ended: signals of one kind are merged, so one may stand for many.
func (t *Table) reap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if c, ok := t.waiting[pid]; ok {
			delete(t.waiting, pid)
			c <- status
		}
	}
}

// Start starts cmd, whose outputs must be files or nil. The channel receives its end.
func (t *Table) Start(cmd *exec.Cmd) (<-chan syscall.WaitStatus, error) {
	t.mu.Lock() // held until the child is known, or its end could be missed
	defer t.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	c := make(chan syscall.WaitStatus, 1)
	t.waiting[cmd.Process.Pid] = c
	return c, nil
}

// Run runs a short program to its end; its output is part of the error.
func (t *Table) Run(name string, args ...string) error {
	_, err := t.Output(name, args...)
	return err
}

// Output is Run for a program whose output matters.
func (t *Table) Output(name string, args ...string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("create pipe: %w", err)
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = w, w
	end, err := t.Start(cmd)
	_ = w.Close()
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(r)
	if err != nil {
		return "", fmt.Errorf("read output of %s: %w", name, err)
	}
	if s := <-end; s.ExitStatus() != 0 {
		return "", fmt.Errorf("run %s %s: %s: %s", name, strings.Join(args, " "), describe(s), strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Keep starts a program with its output in logFile, and starts it again whenever it ends.
func (t *Table) Keep(ctx context.Context, logFile, name string, args ...string) error {
	f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	start := func() (<-chan syscall.WaitStatus, error) {
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = f, f
		return t.Start(cmd)
	}
	end, err := start()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	go func() {
		defer func() { _ = f.Close() }()
		for {
			select {
			case <-ctx.Done():
				return
			case s := <-end:
				log.Printf("%s ended: %s", name, describe(s))
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			if end, err = start(); err != nil {
				log.Print(err)
				return
			}
		}
	}()
	return nil
}

func describe(s syscall.WaitStatus) string {
	if s.Signaled() {
		return "killed by signal " + s.Signal().String()
	}
	return fmt.Sprintf("exit status %d", s.ExitStatus())
}
