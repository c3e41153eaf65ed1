package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// ReleaseAggregates tells the tables of a transfer. People are counted before the transaction
// that decides, since that takes long and reads only; what may be told of the counts is
// decided in it, beside everything that was told before, and is on disk before it is told.
func (l *Ledger) ReleaseAggregates(ctx context.Context, id string) (store.Release, error) {
	if _, err := aggregateSpec(ctx, l.read, id); err != nil {
		return store.Release{}, err
	}
	before, err := released(ctx, l.read, id)
	if err != nil {
		return store.Release{}, err
	}
	var tables map[aggregate.Name]aggregate.Table
	counted := l.cfg.Clock()
	if len(before) == 0 { // all of them are told by one transaction
		if tables, counted, err = l.countTables(ctx, id); err != nil {
			return store.Release{}, err
		}
	}
	var out store.Release
	err = l.write.do(ctx, func(t *tx) (err error) {
		out, err = l.release(ctx, t, id, tables, counted)
		return err
	})
	return out, err
}

// aggregateSpec reads a transfer that may tell counts, and may not tell records.
func aggregateSpec(ctx context.Context, q querier, id string) (store.TransferSpec, error) {
	s, cur, err := loadTransfer(ctx, q, id)
	switch {
	case err != nil:
		return s, err
	case len(s.Aggregates) == 0 || len(s.Fields) > 0:
		return s, store.ErrTransferKind
	case cur.State != store.TransferDeclared && cur.State != store.TransferStarted:
		return s, store.ErrTransferState
	}
	return s, nil
}

func (l *Ledger) release(ctx context.Context, t *tx, id string, tables map[aggregate.Name]aggregate.Table, counted time.Time) (store.Release, error) {
	v, err := l.policyView() // of this very moment: a hold may have come while people were counted
	if err != nil {
		return store.Release{}, err
	}
	s, err := aggregateSpec(ctx, t, id)
	switch {
	case err != nil:
		return store.Release{}, err
	case !v.Fresh(t.now):
		return store.Release{}, store.ErrPolicyStale
	}
	refusals, err := t.openRelease(ctx, v, s)
	if err != nil || len(refusals) > 0 {
		return store.Release{Refusals: refusals}, err
	}
	for _, name := range s.Aggregates {
		if err := t.tell(ctx, id, aggregate.Name(name), tables, counted); err != nil {
			return store.Release{}, err
		}
	}
	_, now, err := loadTransfer(ctx, t, id)
	if err != nil {
		return store.Release{}, err
	}
	out := store.Release{Started: now.Started, Decision: now.Decision, Life: l.cfg.PermitLife}
	out.Tables, err = releasedTables(ctx, t, id)
	return out, err
}

// openRelease decides once more, and starts the transfer. One that has started already, and
// is refused now, is stopped: it may have told something.
func (t *tx) openRelease(ctx context.Context, v *store.View, s store.TransferSpec) ([]transfer.Refusal, error) {
	facts, err := t.facts(ctx, v, s)
	if err != nil {
		return nil, err
	}
	d := transfer.Decide(facts)
	_, cur, err := loadTransfer(ctx, t, s.ID)
	switch {
	case err != nil:
		return nil, err
	case cur.State == store.TransferStarted:
		err = t.resume(ctx, s.ID, d)
	default:
		err = t.begin(ctx, s.ID, d, d.Of(facts), map[reason.Code]int64{})
	}
	return d.Public(), err
}

// tell writes down what a transfer tells of a table, once: from then on that is what it tells.
func (t *tx) tell(ctx context.Context, id string, name aggregate.Name, tables map[aggregate.Name]aggregate.Table, counted time.Time) error {
	var told bool
	const has = "SELECT EXISTS (SELECT 1 FROM releases WHERE transfer_id = ? AND name = ?)"
	if err := t.QueryRowContext(ctx, has, id, string(name)).Scan(&told); err != nil || told {
		return wrapRead(err)
	}
	table, ok := tables[name]
	if !ok { // declared anew meanwhile
		return store.ErrTransferConflict
	}
	numbers, counted, err := t.numbersOf(ctx, table, counted)
	if err != nil {
		return err
	}
	const release = "INSERT INTO releases (transfer_id, name, at_ms, counted_ms) VALUES (?, ?, ?, ?) RETURNING id"
	var number int64
	if err := t.QueryRowContext(ctx, release, id, string(name), t.now.UnixMilli(), counted.UnixMilli()).Scan(&number); err != nil {
		return fmt.Errorf("write release: %w", err)
	}
	var cells []any
	for _, n := range numbers {
		cells = append(cells, number, n.Row, n.Column, n.Value, n.Counted)
	}
	if _, err := insertAll(ctx, t.Tx, "INSERT INTO release_cells (release_id, row_key, column_key, value, counted) VALUES %s", 5, cells); err != nil {
		return err
	}
	body, err := json.Marshal(cellsOf(name, numbers))
	if err != nil {
		return fmt.Errorf("encode release: %w", err)
	}
	sum := sha256.Sum256(body)
	t.log("aggregate released", nil, map[string]any{
		"transfer": id, "aggregate": name, "sha256": hex.EncodeToString(sum[:]), "cells": len(numbers), "counted": counted.UnixMilli(),
	})
	return nil
}

// numbersOf says what may be told of a table: those of the newest release, when it was counted
// a short time ago, whoever that was for; and what protection leaves of the counts otherwise.
func (t *tx) numbersOf(ctx context.Context, table aggregate.Table, counted time.Time) ([]aggregate.Number, time.Time, error) {
	var newest, ms int64
	const q = "SELECT id, counted_ms FROM releases WHERE name = ? ORDER BY id DESC LIMIT 1"
	err := t.QueryRowContext(ctx, q, string(table.Name)).Scan(&newest, &ms)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, counted, wrapRead(err)
	}
	if before := time.UnixMilli(ms); err == nil && counted.Before(before.Add(aggregate.Interval)) {
		const again = "SELECT row_key, column_key, value, counted FROM release_cells WHERE release_id = ?"
		numbers, err := readNumbers(ctx, t, again, newest)
		return numbers, before, err
	}
	const last = `SELECT row_key, column_key, value, counted FROM (
		SELECT c.*, row_number() OVER (PARTITION BY c.row_key, c.column_key ORDER BY r.id DESC) AS n
		FROM releases r JOIN release_cells c ON c.release_id = r.id WHERE r.name = ?) WHERE n = 1`
	former, err := readNumbers(ctx, t, last, string(table.Name))
	return aggregate.Protect(table, former), counted, err
}

func readNumbers(ctx context.Context, q querier, query string, args ...any) ([]aggregate.Number, error) {
	rows, err := q.QueryContext(ctx, query+" ORDER BY row_key, column_key", args...)
	if err != nil {
		return nil, wrapRead(err)
	}
	defer rows.Close()
	var out []aggregate.Number
	for rows.Next() {
		var n aggregate.Number
		if err := rows.Scan(&n.Row, &n.Column, &n.Value, &n.Counted); err != nil {
			return nil, wrapRead(err)
		}
		out = append(out, n)
	}
	return out, wrapRead(rows.Err())
}

// cellsOf are the cells that leave: rounded or hidden, and without what was counted. Where
// the cells overlap, the hidden ones are not named.
func cellsOf(name aggregate.Name, numbers []aggregate.Number) (out []store.ReleasedCell) {
	shape, _ := aggregate.ShapeOf(name)
	for _, n := range numbers {
		if n.Hidden() && shape.Overlapping {
			continue
		}
		out = append(out, store.ReleasedCell{Keys: shape.Keys(n.Key), People: n.Value})
	}
	return out
}

// releasedTables reads what a transfer tells, in the order in which it was written.
func releasedTables(ctx context.Context, q querier, id string) ([]store.ReleasedTable, error) {
	list, err := released(ctx, q, id)
	if err != nil {
		return nil, err
	}
	var out []store.ReleasedTable
	for _, r := range list {
		const cells = `SELECT c.row_key, c.column_key, c.value, c.counted FROM releases r JOIN release_cells c ON c.release_id = r.id WHERE r.transfer_id = ? AND r.name = ?`
		numbers, err := readNumbers(ctx, q, cells, id, string(r.Name))
		if err != nil {
			return nil, err
		}
		out = append(out, store.ReleasedTable{Name: r.Name, Cells: cellsOf(r.Name, numbers), CountedAt: r.CountedAt})
	}
	return out, nil
}

// released tells how much of each table a transfer tells.
func released(ctx context.Context, q querier, id string) ([]store.Released, error) {
	const sel = `SELECT r.name, r.counted_ms, count(*) FILTER (WHERE c.value > 0), count(*) FILTER (WHERE c.value = 0)
		FROM releases r LEFT JOIN release_cells c ON c.release_id = r.id WHERE r.transfer_id = ? GROUP BY r.id ORDER BY r.id`
	rows, err := q.QueryContext(ctx, sel, id)
	if err != nil {
		return nil, wrapRead(err)
	}
	defer rows.Close()
	var out []store.Released
	for rows.Next() {
		var r store.Released
		var ms int64
		if err := rows.Scan(&r.Name, &ms, &r.Cells, &r.Suppressed); err != nil {
			return nil, wrapRead(err)
		}
		r.CountedAt = time.UnixMilli(ms).UTC()
		out = append(out, r)
	}
	return out, wrapRead(rows.Err())
}

func wrapRead(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read releases: %w", err)
}

// FinishAggregates records the manifest of what was told.
func (l *Ledger) FinishAggregates(ctx context.Context, id string, m store.Manifest) error {
	if m.Object == "" || len(m.Object) > maxObject || len(m.SHA256) != 2*sha256.Size {
		return store.ErrInvalid
	}
	m = store.Manifest{Object: m.Object, SHA256: m.SHA256} // counts have no rows of people
	return l.write.do(ctx, func(t *tx) error {
		s, cur, err := loadTransfer(ctx, t, id)
		switch {
		case err != nil:
			return err
		case len(s.Aggregates) == 0 || len(s.Fields) > 0:
			return store.ErrTransferKind
		case cur.Manifest != nil && *cur.Manifest == m:
			return nil
		case cur.State != store.TransferStarted:
			return store.ErrTransferState
		}
		return t.finish(ctx, id, store.TransferComplete, m)
	})
}
