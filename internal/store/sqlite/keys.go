package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/keyfile"
	"github.com/maodian-dev/maodian/internal/store/seal"
)

// openKeys opens the file of people's keys. Only a ledger without people may begin one: with
// an empty file everybody would be forgotten, and with an older one some.
func openKeys(ctx context.Context, db *sql.DB, cfg Config) (*keyfile.File, error) {
	var people int64
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM subjects").Scan(&people); err != nil {
		return nil, fmt.Errorf("count subjects: %w", err)
	}
	dir := cfg.KeysDir
	if dir == "" {
		dir = cfg.Dir
	}
	k, err := keyfile.Open(dir, cfg.LedgerID, people == 0)
	if errors.Is(err, keyfile.ErrMissing) || errors.Is(err, keyfile.ErrForeign) {
		return nil, store.ErrKeysMissing
	}
	if err != nil {
		return nil, err
	}
	if k.Len() < people {
		return nil, errors.Join(store.ErrKeysMissing, k.Close())
	}
	return k, nil
}

// key is what is stored of a new person's key and identifier.
type key struct{ wrapped, sealed, hidden []byte }

// keyFor makes the key of a new person. Its wrapped form begins with the place of the secret
// that it does not open without.
func (l *Ledger) keyFor(id []byte, account string, who subject.OpenID) (key, error) {
	blind := l.cfg.Ring.Blind(kindOpenID, account, who.Reveal())
	at, secret, err := l.keys.Add(blind, id)
	if err != nil {
		return key{}, err
	}
	ring, err := l.cfg.Ring.Under(secret)
	if err != nil {
		return key{}, err
	}
	wrapped, err := ring.NewSubjectKey(id)
	if err != nil {
		return key{}, err
	}
	sealed, err := ring.Seal(wrapped, id, sealedOpenID, who.Reveal())
	return key{
		wrapped: append(binary.BigEndian.AppendUint64(nil, uint64(at)), wrapped...), sealed: sealed,
		hidden: seal.Hide(secret, "identities.blind", blind)[:keyfile.BlindSize],
	}, err
}

// place reads where a person's secret is.
func place(wrapped []byte) (at int64, key []byte, err error) {
	if len(wrapped) < 8 {
		return 0, nil, seal.ErrOpen
	}
	return int64(binary.BigEndian.Uint64(wrapped)), wrapped[8:], nil
}

// ringOf returns the ring that opens a person's key, that key as it is wrapped, and the secret
// without which neither is of use.
func (l *Ledger) ringOf(id, wrapped []byte) (ring *seal.Ring, key, secret []byte, err error) {
	at, key, err := place(wrapped)
	if err != nil {
		return nil, nil, nil, err
	}
	if secret, err = l.keys.Secret(at, id); err != nil {
		return nil, nil, nil, err
	}
	ring, err = l.cfg.Ring.Under(secret)
	return ring, key, secret, err
}

// openIDOf opens the sealed openid of a person.
func (l *Ledger) openIDOf(id, wrapped, sealed []byte) (subject.OpenID, error) {
	raw, err := l.openIdentity(id, wrapped, sealedOpenID, sealed)
	if err != nil {
		return subject.OpenID{}, err
	}
	return subject.NewOpenID(raw)
}

// openIdentity opens a sealed identifier of a person.
func (l *Ledger) openIdentity(id, wrapped []byte, kind string, sealed []byte) (string, error) {
	ring, key, _, err := l.ringOf(id, wrapped)
	if err != nil {
		return "", fmt.Errorf("open identifier: %w", err)
	}
	raw, err := ring.Open(key, id, kind, sealed)
	if err != nil {
		return "", fmt.Errorf("open identifier: %w", err)
	}
	return raw, nil
}

// hideDedupe returns what an event is told apart by. The platform's own key is a hash over
// the openid, which could be guessed at in an old copy of the database.
func (l *Ledger) hideDedupe(e store.Event) ([]byte, error) {
	at, id, ok := l.keys.Find(l.cfg.Ring.Blind(kindOpenID, e.Account, e.Who.Reveal()))
	if !ok {
		return nil, keyfile.ErrDestroyed
	}
	secret, err := l.keys.Secret(at, id)
	if err != nil {
		return nil, err
	}
	return seal.Hide(secret, "events.dedupe", e.Dedupe), nil
}

// guardianOf commits to a guardian under the secret of the person that they speak for: with
// that person, who it was goes too.
func (l *Ledger) guardianOf(ctx context.Context, q rowQuerier, ward []byte, who subject.OpenID) ([]byte, error) {
	var wrapped []byte
	if err := q.QueryRowContext(ctx, "SELECT wrapped FROM subjects WHERE id = ?", ward).Scan(&wrapped); err != nil {
		return nil, fmt.Errorf("read subject: %w", err)
	}
	at, _, err := place(wrapped)
	if err != nil {
		return nil, err
	}
	secret, err := l.keys.Secret(at, ward)
	if err != nil {
		return nil, err
	}
	return seal.Hide(secret, "guardian", []byte(who.Reveal()))[:16], nil
}
