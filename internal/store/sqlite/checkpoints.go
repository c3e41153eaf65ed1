package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/maodian-dev/maodian/internal/ledger"
)

// Checkpoint signs the head of the log as it is on disk, or returns what was signed for it
// before. It is given out only after it is on disk itself, so that no crash makes the log
// forget what it signed; and it is signed only after a proof that it continues the one
// before (C2SP tlog-checkpoint: never two that are inconsistent).
func (l *Ledger) Checkpoint(ctx context.Context) (string, error) {
	signed, _, err := l.checkpoint(ctx, 0)
	return signed, err
}

// checkpoint returns the newest checkpoint if it covers so many entries (0: all there are),
// and makes one otherwise.
func (l *Ledger) checkpoint(ctx context.Context, cover uint64) (signed string, c ledger.Checkpoint, err error) {
	signed, c, err = lastSigned(ctx, l.read, l.sign.Name())
	if err != nil {
		return "", c, err
	}
	head, err := loadRange(ctx, l.read)
	if err != nil {
		return "", c, err
	}
	if c.Size > head.End() {
		return "", c, shorter(c)
	}
	if cover == 0 {
		cover = head.End()
	}
	if signed != "" && c.Size >= cover {
		return signed, c, nil
	}
	err = l.write.do(ctx, func(t *tx) error {
		signed, c, err = l.signHead(ctx, t)
		return err
	})
	if err != nil {
		return "", ledger.Checkpoint{}, err
	}
	return signed, c, nil
}

func shorter(signed ledger.Checkpoint) error {
	return tampered("a checkpoint was signed over %d entries, and not so many are there", signed.Size)
}

// signHead signs the head that was committed before this transaction: entries of its own
// are appended at its end.
func (l *Ledger) signHead(_ context.Context, t *tx) (string, ledger.Checkpoint, error) {
	ctx := context.Background() // as all writes
	head, err := loadRange(ctx, t)
	if err != nil {
		return "", ledger.Checkpoint{}, err
	}
	next := ledger.Checkpoint{Origin: l.sign.Name(), Size: head.End()}
	if next.Root, err = ledger.RootOf(head); err != nil {
		return "", next, err
	}
	signed, last, err := lastSigned(ctx, t, next.Origin)
	switch {
	case err != nil:
		return "", next, err
	case signed != "" && last.Size > next.Size:
		return "", next, shorter(last)
	case signed != "":
		var wrong *ledger.Fault
		if err := ledger.Consistent(last, next, fetch(ctx, t)); errors.As(err, &wrong) {
			return "", next, tampered("the first %d entries are not those that were signed", last.Size)
		} else if err != nil {
			return "", next, err
		}
	}
	if signed != "" && last.Size == next.Size {
		return signed, next, nil // another caller was faster
	}
	if signed, err = l.sign.Checkpoint(next.Size, next.Root); err != nil {
		return "", next, err
	}
	_, err = t.exec(ctx, "INSERT INTO checkpoints (size, root, at_ms, note) VALUES (?, ?, ?, ?)", int64(next.Size), next.Root, t.now.UnixMilli(), signed)
	return signed, next, err
}

// lastSigned returns the newest checkpoint, and an empty note before the first one.
func lastSigned(ctx context.Context, q rowQuerier, origin string) (string, ledger.Checkpoint, error) {
	c := ledger.Checkpoint{Origin: origin}
	var size int64
	var signed string
	err := q.QueryRowContext(ctx, "SELECT size, root, note FROM checkpoints ORDER BY size DESC LIMIT 1").Scan(&size, &c.Root, &signed)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", c, fmt.Errorf("read checkpoint: %w", err)
	}
	c.Size = uint64(size)
	return signed, c, nil
}
