package component

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// progress shows that a build goes on: one line that changes on a terminal, a new line now and then elsewhere.
type progress struct {
	out      io.Writer
	what     string
	terminal bool
	started  time.Time
	packages atomic.Int64
	quit     chan struct{}
	done     chan struct{}
}

const (
	terminalEvery = time.Second
	logEvery      = 15 * time.Second
)

func startProgress(out io.Writer, what string) *progress {
	p := &progress{out: out, what: what, started: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	if f, ok := out.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	every := logEvery
	if p.terminal {
		every = terminalEvery
	} else {
		_, _ = fmt.Fprintf(out, "building %s\n", what)
	}
	go p.run(every)
	return p
}

// Write counts the lines of "go build -v", one for each package.
func (p *progress) Write(b []byte) (int, error) {
	p.packages.Add(int64(bytes.Count(b, []byte("\n"))))
	return len(b), nil
}

func (p *progress) run(every time.Duration) {
	defer close(p.done)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-t.C:
			p.line("building")
		}
	}
}

func (p *progress) line(verb string) {
	start, end := "", "\n"
	if p.terminal {
		start, end = "\r\x1b[K", ""
	}
	_, _ = fmt.Fprintf(p.out, "%s%s %s: %d s, %d packages compiled%s", start, verb, p.what, int(time.Since(p.started).Seconds()), p.packages.Load(), end)
}

func (p *progress) stop(ok bool) {
	close(p.quit)
	<-p.done
	verb := "built"
	if !ok {
		verb = "stopped"
	}
	p.line(verb)
	if p.terminal {
		_, _ = fmt.Fprintln(p.out)
	}
}
