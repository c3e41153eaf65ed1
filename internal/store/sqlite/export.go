package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/store"
)

// Bodies says which records a pack shows. What is not shown is withheld: its number, time,
// kind and commitment are there all the same.
type Bodies string

// What a pack may show.
const (
	NoBodies   Bodies = "none"
	Impersonal Bodies = "impersonal" // of entries about nobody in particular
	AllBodies  Bodies = "all"        // consents and transfers of people, too: no identifiers, but about them
)

// ErrBodies says that the choice of bodies is none of the three.
var ErrBodies = errors.New("BodiesInvalid: bodies must be none, impersonal or all")

// Valid tells whether b is one of the choices.
func (b Bodies) Valid() bool { return b == NoBodies || b == Impersonal || b == AllBodies }

// Exported is what a pack holds, and what it leaves out.
type Exported struct {
	Origin      string `json:"origin"`
	VerifierKey string `json:"verifierKey"`
	Entries     uint64 `json:"entries"`
	Unsigned    uint64 `json:"unsigned"` // entries behind the last checkpoint, which are left out
}

// ErrNoCheckpoint says that there is nothing to export yet.
var ErrNoCheckpoint = &store.Error{Word: "NoCheckpoint", Message: "no checkpoint was signed yet: let the manager read the store's status once"}

// ExportPack writes the log of a ledger's file up to its last checkpoint. It opens the file
// to read only, needs no key, and may run beside the store. progress may be nil.
func ExportPack(ctx context.Context, dir string, show Bodies, out io.Writer, progress func(entries uint64)) (e Exported, err error) {
	if !show.Valid() {
		return e, ErrBodies
	}
	path := filepath.Join(dir, file)
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || (err == nil && info.Size() == 0) {
		return e, store.ErrLedgerMissing
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)&_pragma=query_only(1)&_pragma=trusted_schema(0)")
	if err != nil {
		return e, fmt.Errorf("open ledger: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	t, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // one moment for all reads
	if err != nil {
		return e, store.ErrCorrupt
	}
	defer t.Rollback() //nolint:errcheck // read only
	return export(ctx, t, show, out, progress)
}

func export(ctx context.Context, t *sql.Tx, show Bodies, out io.Writer, progress func(uint64)) (Exported, error) {
	var e Exported
	if err := t.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'verifier_key'").Scan(&e.VerifierKey); err != nil {
		return e, store.ErrCorrupt
	}
	key, err := ledger.NewVerifier(e.VerifierKey)
	if err != nil {
		return e, store.ErrCorrupt
	}
	signed, err := signedHeads(ctx, t)
	if err != nil {
		return e, err
	}
	if len(signed) == 0 {
		return e, ErrNoCheckpoint
	}
	e.Origin, e.Entries = key.Origin(), signed[len(signed)-1].size
	pack, err := ledger.NewPackWriter(out, e.VerifierKey, e.Entries)
	if err != nil {
		return e, err
	}
	x := &exporter{pack: pack, left: signed, show: show, progress: progress}
	if err := x.heads(0); err != nil {
		return e, err
	}
	if _, err := walk(ctx, t, nil, x.entry); err != nil {
		return e, err
	}
	if len(x.left) > 0 {
		return e, tampered("a checkpoint was signed over %d entries, and not so many are there", e.Entries)
	}
	e.Unsigned = x.behind
	return e, pack.Close()
}

// exporter writes rows and checkpoints in their order.
type exporter struct {
	pack     *ledger.PackWriter
	left     heads
	show     Bodies
	behind   uint64
	progress func(uint64)
}

func (x *exporter) entry(r *logRow, built *compact.Range) error {
	if len(x.left) == 0 {
		x.behind++
		return nil
	}
	show := x.show == AllBodies || (x.show == Impersonal && r.subject == nil)
	if err := x.pack.Entry(r.entry(show)); err != nil {
		return err
	}
	if x.progress != nil && built.End()%4096 == 0 {
		x.progress(built.End())
	}
	return x.heads(built.End())
}

// heads writes the checkpoints over so many entries.
func (x *exporter) heads(size uint64) error {
	for len(x.left) > 0 && x.left[0].size == size {
		if err := x.pack.Checkpoint(x.left[0].signed); err != nil {
			return err
		}
		x.left = x.left[1:]
	}
	return nil
}
