package component

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/maodian-dev/maodian/hack/cluster/internal/filelock"
)

// Builder builds into a cache.
type Builder struct {
	Tools  string    // folder of the tool modules
	Cache  string    // folder of built programs
	Report io.Writer // where progress goes, a terminal or not
	// Compile runs one go build; tests replace it. Nil is the real one.
	Compile func(ctx context.Context, dir string, args []string, output io.Writer) error
	// Version is the Go release; empty asks the go command.
	Version string
}

// prepare makes the cache folder and returns the Go release, which is part of every key.
func (b *Builder) prepare(ctx context.Context) (version string, err error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return "", fmt.Errorf("create cache: %w", err)
	}
	return b.goVersion(ctx)
}

// Ensure builds what is missing of the given components and returns the path of every program by its name.
func (b *Builder) Ensure(ctx context.Context, components []Component) (map[string]string, error) {
	version, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	programs, missing, err := b.survey(components, version)
	if err != nil || len(missing) == 0 {
		return programs, err
	}
	unlock, err := filelock.Lock(ctx, filepath.Join(b.Cache, "lock"), func() {
		_, _ = fmt.Fprintln(b.Report, "waiting for another build to end")
	})
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := b.sweep(); err != nil {
		return nil, err
	}
	// the other build may have made what was missing
	if programs, missing, err = b.survey(components, version); err != nil {
		return nil, err
	}
	for len(missing) > 0 {
		var batch, rest []Component
		for _, c := range missing {
			if c.Module == missing[0].Module && c.LDFlags == missing[0].LDFlags {
				batch = append(batch, c)
			} else {
				rest = append(rest, c)
			}
		}
		if err := b.build(ctx, batch, programs); err != nil {
			return nil, err
		}
		missing = rest
	}
	return programs, nil
}

// survey tells where every program belongs, and which are not there yet.
func (b *Builder) survey(components []Component, version string) (programs map[string]string, missing []Component, err error) {
	programs = map[string]string{}
	for _, c := range components {
		key, err := Key(b.Tools, c, version)
		if err != nil {
			return nil, nil, err
		}
		programs[c.Program] = filepath.Join(b.Cache, key, c.Program)
		if _, err := os.Stat(programs[c.Program]); err != nil {
			missing = append(missing, c)
		}
	}
	return programs, missing, nil
}

// sweep removes what killed builds left; the caller holds the lock.
func (b *Builder) sweep() error {
	left, err := filepath.Glob(filepath.Join(b.Cache, ".build-*"))
	if err != nil {
		return fmt.Errorf("list cache: %w", err)
	}
	for _, d := range left {
		if err := os.RemoveAll(d); err != nil {
			return fmt.Errorf("clean cache: %w", err)
		}
	}
	return nil
}

// build makes several programs of one module by one command, since they share most of their packages, and moves each
// whole folder into its place.
func (b *Builder) build(ctx context.Context, batch []Component, programs map[string]string) error {
	tmp, err := os.MkdirTemp(b.Cache, ".build-")
	if err != nil {
		return fmt.Errorf("create build folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	var names []string
	args := []string{"build", "-v", "-ldflags", batch[0].LDFlags, "-o", tmp + "/"}
	for _, c := range batch {
		names = append(names, c.Program)
		args = append(args, c.Package)
	}
	if len(batch) == 1 { // the folder of "." does not name the program
		args[5] = filepath.Join(tmp, batch[0].Program)
	}
	p := startProgress(b.Report, strings.Join(names, ", "))
	compile := b.Compile
	if compile == nil {
		compile = goBuild
	}
	var tail tailWriter
	err = compile(ctx, filepath.Join(b.Tools, batch[0].Module), args, io.MultiWriter(&tail, p))
	p.stop(err == nil)
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", names[0], ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", strings.Join(names, ", "), err, tail.String())
	}
	for _, c := range batch {
		home := filepath.Dir(programs[c.Program])
		stage := filepath.Join(tmp, c.Name+".d")
		err := errors.Join(os.Mkdir(stage, 0o755), os.Rename(filepath.Join(tmp, c.Program), filepath.Join(stage, c.Program)), os.RemoveAll(home), os.Rename(stage, home))
		if err != nil {
			return fmt.Errorf("put %s in place: %w", c.Program, err)
		}
	}
	return nil
}

func (b *Builder) goVersion(ctx context.Context) (string, error) {
	if b.Version != "" {
		return b.Version, nil
	}
	cmd := exec.CommandContext(ctx, "go", "version")
	cmd.Dir = b.Tools
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask the go command for its version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// goBuild always uses the same settings: another setting would compile every package anew.
func goBuild(ctx context.Context, dir string, args []string, output io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false", "GOWORK=off")
	// the go command removes its work folder and ends its compilers on SIGINT
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	return cmd.Run()
}

// Assets returns one folder that holds all given programs side by side.
func (b *Builder) Assets(programs map[string]string) (string, error) {
	h := sha256.New()
	for _, c := range All() {
		_, _ = fmt.Fprintln(h, programs[c.Program])
	}
	dir := filepath.Join(b.Cache, "assets-"+hex.EncodeToString(h.Sum(nil))[:16])
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp, err := os.MkdirTemp(b.Cache, ".assets-")
	if err != nil {
		return "", fmt.Errorf("create assets folder: %w", err)
	}
	for name, path := range programs {
		if err := os.Symlink(path, filepath.Join(tmp, name)); err != nil {
			return "", fmt.Errorf("link program: %w", err)
		}
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, dir)); err != nil {
		// another run may have put the same folder there
		if _, statErr := os.Stat(dir); statErr == nil {
			return dir, os.RemoveAll(tmp)
		}
		return "", fmt.Errorf("put assets in place: %w", err)
	}
	return dir, nil
}

// tailWriter keeps the end of what is written, where compilers put their errors.
type tailWriter struct{ buf bytes.Buffer }

const tailSize = 8 << 10

func (t *tailWriter) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if extra := t.buf.Len() - tailSize; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

func (t *tailWriter) String() string {
	lines := strings.Split(strings.TrimSpace(t.buf.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
