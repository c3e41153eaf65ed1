package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
)

// errClosed says that the ledger is closing.
var errClosed = errors.New("ledger is closed")

// groupLimit bounds how many writes share one commit.
const groupLimit = 512

// writer runs all writes in one goroutine. Writes that arrive while a commit is under way
// wait together and share the next one: each has a savepoint of its own, and all are
// acknowledged after the one sync.
type writer struct {
	db    *sql.DB
	clock func() time.Time
	due   func(time.Time) time.Time
	sync  func() error // brings what lies outside the file to disk before a commit relies on it
	jobs  chan *job
	stop  chan struct{}
	done  sync.WaitGroup
	once  sync.Once
}

type job struct {
	ctx  context.Context
	fn   func(*tx) error
	done chan error
	err  error
	hook []func()
}

// tx is the part of a group's transaction that one write sees.
type tx struct {
	*sql.Tx
	now     time.Time
	due     func(time.Time) time.Time // until when what is asked at a moment must be answered
	job     *job
	entries *[]entry
	shown   string // hash of what the person had before their eyes, if anything
	looked  int64  // the number of that look
	by      consent.Control
	erased  [][]byte // people whose entries in this commit are sealed
}

func newWriter(db *sql.DB, clock func() time.Time, due func(time.Time) time.Time, sync func() error) *writer {
	w := &writer{db: db, clock: clock, due: due, sync: sync, jobs: make(chan *job, groupLimit), stop: make(chan struct{})}
	w.done.Add(1)
	go w.loop()
	return w
}

// do runs fn in a transaction and returns when it is on disk, or was rolled back.
func (w *writer) do(ctx context.Context, fn func(*tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan error, 1)}
	select {
	case w.jobs <- j:
	case <-w.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-j.done:
		return err
	case <-w.stop:
		select {
		case err := <-j.done:
			return err
		default:
			return errClosed
		}
	}
}

func (w *writer) close() error {
	w.once.Do(func() { close(w.stop) })
	w.done.Wait()
	return w.db.Close()
}

func (w *writer) loop() {
	defer w.done.Done()
	for {
		select {
		case <-w.stop:
			return
		case j := <-w.jobs:
			w.commit(w.gather(j))
		}
	}
}

// gather takes what waits already; it does not wait for more.
func (w *writer) gather(first *job) []*job {
	group := []*job{first}
	for len(group) < groupLimit {
		select {
		case j := <-w.jobs:
			group = append(group, j)
		default:
			return group
		}
	}
	return group
}

func (w *writer) commit(group []*job) {
	err := w.run(group)
	for _, j := range group {
		if err != nil {
			j.err = err
		}
		if j.err == nil {
			for _, f := range j.hook {
				f()
			}
		}
		j.done <- j.err
	}
}

func (w *writer) run(group []*job) error {
	ctx := context.Background() // a caller who gives up must not undo the others
	t, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	var entries []entry
	for _, j := range group {
		if err := w.one(ctx, t, j, &entries); err != nil {
			return errors.Join(err, t.Rollback())
		}
	}
	if err := appendLog(ctx, t, entries); err != nil {
		return errors.Join(err, t.Rollback())
	}
	if err := w.sync(); err != nil {
		return errors.Join(err, t.Rollback())
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// one runs a write under its savepoint; an error of the write itself undoes only it.
func (w *writer) one(ctx context.Context, t *sql.Tx, j *job, entries *[]entry) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil //nolint:nilerr // the caller gave up; the group goes on
	}
	if _, err := t.ExecContext(ctx, "SAVEPOINT job"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	before := len(*entries)
	x := &tx{Tx: t, now: w.clock().UTC().Truncate(time.Millisecond), due: w.due, job: j, entries: entries}
	if j.err = j.fn(x); j.err == nil {
		sealEntries((*entries)[:before], x.erased)
	} else {
		*entries, j.hook = (*entries)[:before], nil
		if _, err := t.ExecContext(ctx, "ROLLBACK TO job"); err != nil {
			return fmt.Errorf("undo: %w", err)
		}
	}
	if _, err := t.ExecContext(ctx, "RELEASE job"); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// sealEntries takes from entries that are not written yet what they say about people.
func sealEntries(entries []entry, people [][]byte) {
	for _, id := range people {
		for i := range entries {
			entries[i].sealed = entries[i].sealed || bytes.Equal(entries[i].subject, id)
		}
	}
}

// after registers what is to happen once the write is on disk.
func (t *tx) after(f func()) { t.job.hook = append(t.job.hook, f) }

// exec runs a statement and returns how many rows it changed.
func (t *tx) exec(_ context.Context, q string, args ...any) (int64, error) {
	r, err := t.ExecContext(context.Background(), q, args...)
	if err != nil {
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	n, err := r.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("write ledger: %w", err)
	}
	return n, nil
}

// insertChunk is how many rows one statement inserts.
const insertChunk = 250

// insertAll inserts rows of so many columns, many with one statement, and returns how many
// it changed. The statement has %s where the values go.
func insertAll(ctx context.Context, t *sql.Tx, statement string, columns int, args []any) (changed int64, err error) {
	whole := len(args) - len(args)%(insertChunk*columns)
	for _, part := range []struct {
		args []any
		rows int
	}{{args[:whole], insertChunk}, {args[whole:], len(args[whole:]) / columns}} {
		n, err := insertChunks(ctx, t, statement, columns, part.rows, part.args)
		if err != nil {
			return changed, fmt.Errorf("write ledger: %w", err)
		}
		changed += n
	}
	return changed, nil
}

// insertChunks inserts so many rows at a time, with a statement that is prepared once.
func insertChunks(ctx context.Context, t *sql.Tx, statement string, columns, rows int, args []any) (changed int64, err error) {
	if len(args) == 0 {
		return 0, nil
	}
	row := "(?" + strings.Repeat(", ?", columns-1) + ")"
	st, err := t.PrepareContext(ctx, fmt.Sprintf(statement, row+strings.Repeat(", "+row, rows-1)))
	if err != nil {
		return 0, err
	}
	defer st.Close()
	for chunk := range slices.Chunk(args, rows*columns) {
		r, err := st.ExecContext(ctx, chunk...)
		if err != nil {
			return changed, err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return changed, err
		}
		changed += n
	}
	return changed, nil
}

// broadcast wakes everyone who waits for news.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
