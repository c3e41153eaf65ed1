package sqlite

import (
	"context"
	"strings"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store"
)

// Import takes over people whom the processor knew before. What a person has said here is
// never changed by it, and the same import twice changes nothing.
func (l *Ledger) Import(ctx context.Context, account string, people []store.ImportedPerson) (store.Imported, error) {
	v, err := l.policyView()
	if err != nil {
		return store.Imported{}, err
	}
	if err := importable(v, account, people); err != nil {
		return store.Imported{}, err
	}
	var out store.Imported
	err = l.write.do(ctx, func(t *tx) error {
		out = store.Imported{}
		for _, p := range people {
			if err := l.takeOver(ctx, t, account, p, &out); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// importable refuses an import as a whole: nothing of it is half-written.
func importable(v *store.View, account string, people []store.ImportedPerson) error {
	if account == "" || len(people) > store.MaxImported {
		return store.ErrInvalid
	}
	for _, p := range people {
		if p.Who.IsZero() || len(p.Consents) > 256 {
			return store.ErrInvalid
		}
		for _, c := range p.Consents {
			if len(c.Evidence) > store.MaxEvidence || strings.ContainsFunc(c.Evidence, func(r rune) bool { return r < ' ' }) {
				return store.ErrInvalid
			}
			if _, told := v.Rules(c.Purpose, c.Recipient); !told {
				return store.ErrNoticeIncomplete
			}
		}
	}
	return nil
}

func (l *Ledger) takeOver(ctx context.Context, t *tx, account string, p store.ImportedPerson, out *store.Imported) error {
	known, err := l.find(ctx, t, account, p.Who)
	if err != nil {
		return err
	}
	id, err := l.ensure(ctx, t, account, p.Who)
	if err != nil {
		return err
	}
	if known == nil {
		out.People++
	}
	if p.Following { // any event of the platform is newer
		const q = "INSERT INTO relations (subject_id, account, following, opted_out, platform_ms) VALUES (?, ?, 1, 0, 0) ON CONFLICT DO NOTHING"
		if _, err := t.exec(ctx, q, id, account); err != nil {
			return err
		}
	}
	for _, c := range p.Consents {
		if err := t.takeConsent(ctx, id, account, c, out); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) takeConsent(ctx context.Context, id []byte, account string, c store.ImportedConsent, out *store.Imported) error {
	if !c.Proved() || c.CollectedAt.After(t.now) {
		out.Unproved++
		return nil
	}
	before, err := t.state(ctx, id, c.Purpose, c.Recipient)
	if err != nil {
		return err
	}
	e := consentEvent{purpose: c.Purpose, recipient: c.Recipient, account: account, evidence: c.Evidence, collected: milli(c.CollectedAt), Event: consent.Event{
		Action: consent.Given, NoticeRevision: c.NoticeRevision, Separate: true, Control: consent.Import,
	}}
	switch {
	case before.Action == consent.Given && before.Control == consent.Import:
		return nil // heard of before
	case before.After(e.Event) == before:
		out.Contradicted++
		return nil
	}
	out.Consents++
	return t.consent(ctx, id, before, e)
}
