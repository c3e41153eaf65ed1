package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// report tells the story to a person: chapters, figures, and whether each is right.
type report struct {
	out    io.Writer
	colour bool
	live   bool
	began  time.Time
	mu     sync.Mutex
	failed []string
	checks int
}

func newReport(f *os.File) *report {
	tty := term.IsTerminal(int(f.Fd()))
	return &report{out: f, colour: tty && os.Getenv("NO_COLOR") == "", live: tty, began: time.Now()}
}

func (r *report) paint(code, s string) string {
	if !r.colour {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// chapter opens a chapter of the story, and says what it proves.
func (r *report) chapter(n int, title, proves string) {
	fmt.Fprintf(r.out, "\n%s\n   %s\n", r.paint("1;36", fmt.Sprintf("%d. %s", n, title)), r.paint("2", proves))
}

// say tells a fact that is not checked.
func (r *report) say(format string, args ...any) {
	fmt.Fprintf(r.out, "   %s\n", fmt.Sprintf(format, args...))
}

// check tells a figure and whether it is the one that must be.
func (r *report) check(what string, got, want any) {
	r.checks++
	g, w := fmt.Sprint(got), fmt.Sprint(want)
	if g == w {
		fmt.Fprintf(r.out, " %s %s: %s\n", r.paint("32", "✓"), what, orNothing(g))
		return
	}
	r.failed = append(r.failed, what)
	fmt.Fprintf(r.out, " %s %s: %s, expected %s\n", r.paint("31", "✗"), what, g, w)
}

// hold checks a statement that is true or false.
func (r *report) hold(what string, ok bool, detail string) {
	r.checks++
	if ok {
		fmt.Fprintf(r.out, " %s %s%s\n", r.paint("32", "✓"), what, suffix(detail))
		return
	}
	r.failed = append(r.failed, what)
	fmt.Fprintf(r.out, " %s %s%s\n", r.paint("31", "✗"), what, suffix(detail))
}

func suffix(detail string) string {
	if detail == "" {
		return ""
	}
	return " (" + detail + ")"
}

// progress shows a line that changes; where no terminal is, one every ten seconds.
func (r *report) progress(since time.Time, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live {
		fmt.Fprintf(r.out, "\r\x1b[K   … %s (%.0f s)", text, time.Since(since).Seconds())
		return
	}
	fmt.Fprintf(r.out, "   … %s (%.0f s)\n", text, time.Since(since).Seconds())
}

func (r *report) clear() {
	if r.live {
		fmt.Fprint(r.out, "\r\x1b[K")
	}
}

// end sums up and returns the exit code.
func (r *report) end(err error) int {
	passed := r.checks - len(r.failed)
	fmt.Fprintf(r.out, "\n%d passed, %d failed in %.0f s\n", passed, len(r.failed), time.Since(r.began).Seconds())
	if err != nil {
		fmt.Fprintf(r.out, "%s %v\n", r.paint("31", "The story broke off:"), err)
		return 1
	}
	if len(r.failed) > 0 {
		fmt.Fprintf(r.out, "Wrong: %s\n", strings.Join(r.failed, "; "))
		return 1
	}
	return 0
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
