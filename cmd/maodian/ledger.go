package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	proofs "github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/receipt"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
)

const ledgerUsage = `usage: maodian ledger verify FILE --key KEY [--checkpoint FILE]... [-o text|json]
       maodian ledger export --dir DIR --out FILE [--bodies none|impersonal|all] [-o text|json]

verify  checks a pack or a consent receipt (- reads standard input), offline, with nothing
        but the ledger's verifier key: status.ledger.verifierKey of the ConsentStore.
        --checkpoint takes a file with a checkpoint that was published earlier
        (status.ledger.checkpoint): the pack must continue it. It may be repeated.
export  writes the log of the ledger in a store's data folder as a pack, up to its last
        checkpoint. It only reads, needs no key, and may run beside the store.

Exit status: 0 all is well, 1 something is wrong with the ledger, 2 it could not be found out.`

// Exit statuses.
const (
	exitWell = iota
	exitWrong
	exitUnknown
)

// ledgerFlags are the flags of both commands.
type ledgerFlags struct {
	key, output, dir, out string
	bodies                string
	published             []string // files
}

func runLedger(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, ledgerFlags, []string, io.Writer, io.Writer) (int, error){"verify": verifyLedger, "export": exportLedger}
	if len(args) == 0 || commands[args[0]] == nil {
		fmt.Fprintln(stderr, ledgerUsage)
		return exitUnknown
	}
	var f ledgerFlags
	fs := flag.NewFlagSet("maodian ledger "+args[0], flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&f.output, "o", "text", "")
	if args[0] == "verify" {
		fs.StringVar(&f.key, "key", "", "")
		fs.Func("checkpoint", "", func(name string) error { f.published = append(f.published, name); return nil })
	} else {
		fs.StringVar(&f.dir, "dir", "", "")
		fs.StringVar(&f.out, "out", "", "")
		fs.StringVar(&f.bodies, "bodies", string(sqlite.NoBodies), "")
	}
	files, err := parseMixed(fs, args[1:])
	if err == nil && f.output != "text" && f.output != "json" {
		err = errors.New("-o must be text or json")
	}
	if err != nil {
		fmt.Fprintf(stderr, "maodian: %v\n%s\n", err, ledgerUsage)
		return exitUnknown
	}
	code, err := commands[args[0]](ctx, f, files, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "maodian: %v\n", err)
	}
	return code
}

// parseMixed reads flags before and behind the names of files.
func parseMixed(fs *flag.FlagSet, args []string) (files []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return files, nil
		}
		files, args = append(files, fs.Arg(0)), fs.Args()[1:]
	}
}

// verdict is what verify found, as -o json prints it.
type verdict struct {
	OK      bool            `json:"ok"`
	Kind    string          `json:"kind"` // pack or receipt
	Pack    *proofs.Report  `json:"pack,omitempty"`
	Receipt *receipt.Report `json:"receipt,omitempty"`
	Fault   *proofs.Fault   `json:"fault,omitempty"`
}

func verifyLedger(_ context.Context, f ledgerFlags, files []string, stdout, stderr io.Writer) (int, error) {
	if len(files) != 1 || f.key == "" {
		return exitUnknown, errors.New("verify takes one file and --key")
	}
	key, err := proofs.NewVerifier(f.key)
	if err != nil {
		return exitUnknown, err
	}
	published, err := readAll(f.published)
	if err != nil {
		return exitUnknown, err
	}
	in := io.Reader(os.Stdin)
	if files[0] != "-" {
		file, err := os.Open(files[0])
		if err != nil {
			return exitUnknown, err
		}
		defer file.Close()
		in = file
	}
	v, err := examine(bufio.NewReaderSize(in, 1<<16), key, published, progressOn(stderr))
	if err != nil {
		return exitUnknown, err
	}
	if err := v.print(stdout, f.output); err != nil {
		return exitUnknown, err
	}
	if !v.OK {
		return exitWrong, nil
	}
	return exitWell, nil
}

// readAll reads published checkpoints. The error is about reading; what they say is checked
// with the pack.
func readAll(files []string) (out []string, err error) {
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		out = append(out, string(bytes.TrimRight(b, "\n"))+"\n") // an editor or a shell may add or drop the last line's end
	}
	return out, nil
}

// examine tells packs from receipts and checks either. A fault is part of the verdict.
func examine(in *bufio.Reader, key *proofs.Verifier, published []string, progress func(uint64)) (verdict, error) {
	var v verdict
	var err error
	if start, _ := in.Peek(2); string(start) == "{\n" {
		v.Kind = "receipt"
		if len(published) > 0 {
			return v, errors.New("--checkpoint goes with a pack: a receipt proves what is under its own checkpoint")
		}
		var r receipt.Report
		r, err = receipt.Verify(in, key)
		v.Receipt = &r
	} else {
		v.Kind = "pack"
		var r proofs.Report
		r, err = proofs.VerifyPack(in, key, published, progress)
		v.Pack = &r
	}
	if v.OK = err == nil; !v.OK && !errors.As(err, &v.Fault) {
		return v, err
	}
	return v, nil
}

func (v verdict) print(out io.Writer, format string) error {
	if format == "json" {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		return nil
	}
	p := painter(onTerminal(out))
	switch {
	case !v.OK:
		fmt.Fprintf(out, "%s %s\n", p.red("WRONG"), v.Fault)
		if v.Fault.Entry >= 0 {
			fmt.Fprintf(out, "      entry %d\n", v.Fault.Entry)
		}
	case v.Receipt != nil:
		fmt.Fprintf(out, "%s receipt: %d events of %d consents are in %s, which had %d entries then\n", p.green("OK"), v.Receipt.Events, v.Receipt.Records, v.Receipt.Origin, v.Receipt.Size)
	default:
		r := v.Pack
		fmt.Fprintf(out, "%s pack: %s, %d entries: %d shown, %d withheld, %d sealed\n", p.green("OK"), r.Origin, r.Entries, r.Shown, r.Withheld, r.Sealed)
		fmt.Fprintf(out, "   %d checkpoints in the pack, %d published ones continued, root %s\n", r.Checkpoints, r.Published, base64.StdEncoding.EncodeToString(r.Root))
	}
	return nil
}

func exportLedger(ctx context.Context, f ledgerFlags, files []string, stdout, stderr io.Writer) (code int, err error) {
	if len(files) != 0 || f.dir == "" || f.out == "" {
		return exitUnknown, errors.New("export takes --dir and --out")
	}
	file, err := os.OpenFile(f.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return exitUnknown, err
	}
	done, err := sqlite.ExportPack(ctx, f.dir, sqlite.Bodies(f.bodies), file, progressOn(stderr))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return exitUnknown, errors.Join(err, os.Remove(f.out)) // half a pack helps nobody
	}
	if f.output == "json" {
		e := json.NewEncoder(stdout)
		if err := e.Encode(done); err != nil {
			return exitUnknown, fmt.Errorf("print: %w", err)
		}
		return exitWell, nil
	}
	fmt.Fprintf(stdout, "%d entries of %s written to %s\n", done.Entries, done.Origin, f.out)
	if done.Unsigned > 0 {
		fmt.Fprintf(stdout, "%d entries behind the last checkpoint are left out; the manager has the store sign the next one within a minute\n", done.Unsigned)
	}
	return exitWell, nil
}

// painter colours words, if at all.
type painter bool

func (p painter) paint(code, word string) string {
	if !p {
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}

func (p painter) red(word string) string   { return p.paint("1;31", word) }
func (p painter) green(word string) string { return p.paint("1;32", word) }

// onTerminal tells whether somebody who wants colours reads what is written.
func onTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && cmp.Or(os.Getenv("TERM"), "dumb") != "dumb"
}

// progressOn tells a person at a terminal how far long work is; nobody else.
func progressOn(out io.Writer) func(uint64) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return func(n uint64) {
		if n > 0 && n%(1<<16) == 0 {
			fmt.Fprintf(out, "\r%d entries", n)
		}
	}
}
