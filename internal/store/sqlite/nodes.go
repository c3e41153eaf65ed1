package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/transparency-dev/merkle/compact"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/store"
)

// node is a complete node of the tree.
type node struct {
	id   compact.NodeID
	hash []byte
}

// nodes collects those that are kept.
type nodes []node

func (n *nodes) visit(id compact.NodeID, hash []byte) {
	if id.Level >= ledger.CachedLevel {
		*n = append(*n, node{id, hash})
	}
}

func (n nodes) write(ctx context.Context, t *sql.Tx) error {
	if len(n) == 0 {
		return nil
	}
	st, err := t.PrepareContext(ctx, "INSERT INTO log_nodes (level, n, hash) VALUES (?, ?, ?)")
	if err != nil {
		return fmt.Errorf("keep nodes: %w", err)
	}
	defer st.Close()
	for _, x := range n {
		if _, err := st.ExecContext(ctx, x.id.Level, int64(x.id.Index), x.hash); err != nil {
			return fmt.Errorf("keep nodes: %w", err)
		}
	}
	return nil
}

// fetch returns how nodes are read: kept ones from their table, lower ones from the rows.
func fetch(ctx context.Context, q querier) ledger.Fetch {
	return func(id compact.NodeID) ([]byte, error) {
		if id.Level < ledger.CachedLevel {
			return fromRows(ctx, q, id)
		}
		var hash []byte
		err := q.QueryRowContext(ctx, "SELECT hash FROM log_nodes WHERE level = ? AND n = ?", id.Level, int64(id.Index)).Scan(&hash)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, tampered("a node of the tree over entry %d is missing", id.Index<<id.Level)
		}
		if err != nil {
			return nil, fmt.Errorf("read node: %w", err)
		}
		return hash, nil
	}
}

// fromRows computes a low node from at most 8 leaves.
func fromRows(ctx context.Context, q querier, id compact.NodeID) ([]byte, error) {
	begin, end := id.Coverage()
	rows, err := q.QueryContext(ctx, "SELECT seq, at_ms, kind, leaf, form FROM log WHERE seq >= ? AND seq < ? ORDER BY seq", int64(begin), int64(end))
	if err != nil {
		return nil, fmt.Errorf("read node: %w", err)
	}
	defer rows.Close()
	built := ledger.Ranges.NewEmptyRange(begin)
	for rows.Next() {
		var r logRow
		if err := rows.Scan(&r.seq, &r.at, &r.kind, &r.leaf, &r.form); err != nil {
			return nil, fmt.Errorf("read node: %w", err)
		}
		if err := built.Append(r.hash(), nil); err != nil {
			return nil, fmt.Errorf("compute node: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read node: %w", err)
	}
	if built.End() != end || len(built.Hashes()) != 1 {
		return nil, tampered("entry %d is missing", built.End())
	}
	return built.Hashes()[0], nil
}

// fillNodes makes the nodes of a log that was written before they were kept.
func fillNodes(ctx context.Context, db *sql.DB) (err error) {
	head, err := loadRange(ctx, db)
	if err != nil {
		return err
	}
	var have int64
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM log_nodes LIMIT 1)").Scan(&have); err != nil {
		return fmt.Errorf("count nodes: %w", err)
	}
	if have > 0 || head.End() < 1<<ledger.CachedLevel {
		return nil
	}
	t, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("fill nodes: %w", err)
	}
	defer func() { err = errors.Join(err, ended(t.Rollback())) }()
	var done nodes
	if _, err := walk(ctx, t, done.visit, nil); err != nil {
		return err
	}
	if err := done.write(ctx, t); err != nil {
		return err
	}
	if err := t.Commit(); err != nil {
		return fmt.Errorf("fill nodes: %w", err)
	}
	return nil
}

// ended drops the error of a transaction that has ended already.
func ended(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func tampered(format string, args ...any) error {
	return &store.Error{Word: store.ErrLogTampered.Word, Message: fmt.Sprintf(format, args...)}
}
