package sqlite

import (
	"context"
	"fmt"
	"slices"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/keyfile"
	"github.com/maodian-dev/maodian/internal/store/seal"
)

// A person's unionid is kept for one use: to count somebody who follows several accounts, or is
// in several stores, once.
const (
	kindUnionID     = "unionid"
	sealedUnionID   = "identities.unionid"
	categoryUnionID = "WeChatUnionID"
)

// keepUnion keeps a unionid while an adult agrees to a purpose for which the notice names
// it, and drops it otherwise (PIPL 6, 19).
func (l *Ledger) keepUnion(ctx context.Context, t *tx, id []byte, who consent.Person, c store.Choices) error {
	agreed := who.Age == consent.Adult && slices.ContainsFunc(c.Items, func(i store.Choice) bool { return i.Granted && l.View().Notice.Names(i.Purpose, categoryUnionID) })
	if !agreed {
		return t.dropUnion(id)
	}
	if c.Union.IsZero() {
		return nil
	}
	blind, sealed, err := l.sealUnion(ctx, t, id, c.Union)
	if err != nil {
		return err
	}
	const q = "INSERT INTO identities (subject_id, kind, scope, blind, sealed) VALUES (?, '" + kindUnionID + "', '', ?, ?) ON CONFLICT DO UPDATE SET blind = excluded.blind, sealed = excluded.sealed"
	_, err = t.exec(ctx, q, id, blind, sealed)
	return err
}

// dropUnion forgets the unionid of a person, if there is one.
func (t *tx) dropUnion(id []byte) error {
	_, err := t.exec(context.Background(), "DELETE FROM identities WHERE subject_id = ? AND kind = '"+kindUnionID+"'", id)
	return err
}

func (l *Ledger) sealUnion(ctx context.Context, q rowQuerier, id []byte, union subject.UnionID) (blind, sealed []byte, err error) {
	var wrapped []byte
	if err := q.QueryRowContext(ctx, "SELECT wrapped FROM subjects WHERE id = ?", id).Scan(&wrapped); err != nil {
		return nil, nil, fmt.Errorf("read subject: %w", err)
	}
	ring, key, secret, err := l.ringOf(id, wrapped)
	if err != nil {
		return nil, nil, err
	}
	sealed, err = ring.Seal(key, id, sealedUnionID, union.Reveal())
	return seal.Hide(secret, sealedUnionID, []byte(union.Reveal()))[:keyfile.BlindSize], sealed, err
}

// readUnion tells whether a unionid is kept.
func readUnion(ctx context.Context, q querier, id []byte, r *store.Record) error {
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM identities WHERE subject_id = ? AND kind = '"+kindUnionID+"')", id).Scan(&r.UnionID)
	if err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	return nil
}
