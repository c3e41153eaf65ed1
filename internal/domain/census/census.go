// Package census counts the people of several stores once (law.md 2.6: the unit is the
// natural person). Each store lists its people as commitments, in ascending order; who is in
// two lists is one person. Nothing is kept in memory but one commitment of each list.
package census

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// ErrOrder says that a list does not ascend: it cannot be compared, and a count would be too low.
var ErrOrder = errors.New("a list of commitments does not ascend")

// List is what one store has counted, in ascending order, or the error that ends it.
type List = iter.Seq2[subject.Commitment, error]

// Beyond returns how many people are in at least one of the other lists and not in own.
func Beyond(own List, others ...List) (int64, error) {
	all := make([]*reader, 0, len(others)+1)
	defer func() {
		for _, r := range all {
			r.stop()
		}
	}()
	for _, l := range append([]List{own}, others...) {
		r := read(l)
		all = append(all, r)
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	var beyond int64
	for {
		least := first(all)
		if least == nil {
			return beyond, nil
		}
		at := *least
		if !all[0].is(at) {
			beyond++
		}
		if err := skip(all, at); err != nil {
			return 0, err
		}
	}
}

// first is the smallest commitment that a list stands at, nil when all are read.
func first(all []*reader) *subject.Commitment {
	var least *subject.Commitment
	for _, r := range all {
		if !r.done && (least == nil || bytes.Compare(r.at[:], least[:]) < 0) {
			least = &r.at
		}
	}
	return least
}

// skip moves every list past a commitment.
func skip(all []*reader, at subject.Commitment) error {
	for _, r := range all {
		if !r.is(at) {
			continue
		}
		if err := r.advance(); err != nil {
			return err
		}
	}
	return nil
}

// reader stands at one commitment of a list.
type reader struct {
	at   subject.Commitment
	any  bool // something was read
	done bool
	next func() (subject.Commitment, error, bool)
	stop func()
}

func read(l List) *reader {
	next, stop := iter.Pull2(l)
	return &reader{next: next, stop: stop}
}

func (r *reader) is(at subject.Commitment) bool { return !r.done && r.at == at }

func (r *reader) advance() error {
	at, err, ok := r.next()
	switch {
	case !ok:
		r.done = true
		return nil
	case err != nil:
		return fmt.Errorf("read commitments: %w", err)
	case r.any && bytes.Compare(at[:], r.at[:]) <= 0:
		return ErrOrder
	}
	r.at, r.any = at, true
	return nil
}
