package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/store"
)

// Counters returns how many people's records left over the rule pack's window, and to one
// recipient in twelve months.
func (l *Ledger) Counters(ctx context.Context, recipient string) (store.Counters, error) {
	v, err := l.policyView()
	if err != nil {
		return store.Counters{}, err
	}
	now := l.cfg.Clock()
	out := store.Counters{Year: year(now)}
	if out.Counted, err = counter(ctx, l.read, v, now, ""); err != nil {
		return out, err
	}
	out.Recent, err = recent(ctx, l.read, recipient, now)
	return out, err
}

// counter reads the distinct people sent out by the processor over the window of the rule
// pack. One year is one row for each kind; over two, somebody who was sent in both counts once.
//
// Those whom the transfer named except has counted are left out: a decision adds them itself.
func counter(ctx context.Context, q querier, v *store.View, at time.Time, except string) (c transfer.Counter, err error) {
	since := year(at)
	if p := v.Pack(); p != nil {
		since = p.Count.Since(at)
	}
	s := `SELECT COALESCE(sum(persons) FILTER (WHERE NOT sensitive), 0), COALESCE(sum(persons) FILTER (WHERE sensitive), 0)
		FROM transfer_totals WHERE processor = ?1 AND year >= ?2`
	if since < year(at) {
		s = `SELECT count(DISTINCT CASE sensitive WHEN 0 THEN commitment END), count(DISTINCT CASE sensitive WHEN 1 THEN commitment END)
			FROM transfer_persons WHERE processor = ?1 AND year >= ?2`
	}
	if err := q.QueryRowContext(ctx, s, v.Policy.Processor, since).Scan(&c.NonSensitive, &c.Sensitive); err != nil {
		return c, fmt.Errorf("read transfer counter: %w", err)
	}
	if except == "" {
		return c, nil
	}
	var own transfer.Counter
	const mine = `SELECT COALESCE(sum(newly_plain), 0), COALESCE(sum(newly_sensitive), 0) FROM transfer_parts WHERE transfer_id = ?3 AND processor = ?1 AND year >= ?2`
	if err := q.QueryRowContext(ctx, mine, v.Policy.Processor, since, except).Scan(&own.NonSensitive, &own.Sensitive); err != nil {
		return c, fmt.Errorf("read transfer counter: %w", err)
	}
	return transfer.Counter{NonSensitive: max(0, c.NonSensitive-own.NonSensitive), Sensitive: max(0, c.Sensitive-own.Sensitive)}, nil
}

// recent reads the distinct people whose records went to a recipient in twelve months.
func recent(ctx context.Context, q querier, recipient string, at time.Time) (c transfer.Counter, err error) {
	const s = `SELECT COALESCE(sum(sensitive = 0), 0), COALESCE(sum(sensitive = 1), 0) FROM recipient_persons WHERE recipient = ? AND last_ms > ?`
	if err := q.QueryRowContext(ctx, s, recipient, at.AddDate(-1, 0, 0).UnixMilli()).Scan(&c.NonSensitive, &c.Sensitive); err != nil {
		return c, fmt.Errorf("read what the recipient got: %w", err)
	}
	return c, nil
}

// countPart notes the people of a part in the year's counters and at the recipient, once however
// often they are noted: everybody with sensitive data as sensitive, children always, and
// with plain ones beside them in both. It happens in the transaction that leases the part:
// before a byte leaves. newly is how many people no counter had before.
func (l *Ledger) countPart(ctx context.Context, t *tx, v *store.View, p *parting) (newly int64, moved [2]int64, err error) {
	pack := v.Pack()
	plain, sensitive := pack.AnyPlain(p.spec.Categories), pack.AnySensitive(p.spec.Categories)
	var kinds [2][]subject.Commitment
	for _, x := range p.people {
		c := l.cfg.Ring.Commit("transfer counter "+p.processor, x.id)
		if sensitive || x.young {
			kinds[1] = append(kinds[1], c)
		}
		if plain && (pack.Count.BothKinds || (!sensitive && !x.young)) {
			kinds[0] = append(kinds[0], c)
		}
	}
	for kind, all := range kinds {
		if moved[kind], err = t.countKind(ctx, p, kind, all); err != nil {
			return 0, moved, err
		}
	}
	return max(moved[0], moved[1]), moved, nil
}

func (t *tx) countKind(ctx context.Context, p *parting, kind int, all []subject.Commitment) (int64, error) {
	if len(all) == 0 {
		return 0, nil
	}
	slices.SortFunc(all, func(a, b subject.Commitment) int { return bytes.Compare(a[:], b[:]) }) // neighbours share pages
	persons, got := make([]any, 0, 5*len(all)), make([]any, 0, 4*len(all))
	for i := range all {
		persons = append(persons, p.processor, year(t.now), kind, all[i][:], p.spec.ID)
		got = append(got, p.spec.Recipient, kind, all[i][:], t.now.UnixMilli())
	}
	const one = "INSERT INTO transfer_persons (processor, year, sensitive, commitment, transfer_id) VALUES %s ON CONFLICT DO NOTHING"
	newly, err := insertAll(ctx, t.Tx, one, 5, persons)
	if err != nil {
		return 0, err
	}
	const last = "INSERT INTO recipient_persons (recipient, sensitive, commitment, last_ms) VALUES %s ON CONFLICT DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)"
	if _, err := insertAll(ctx, t.Tx, last, 4, got); err != nil {
		return 0, err
	}
	const sum = "INSERT INTO transfer_totals (processor, year, sensitive, persons) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET persons = persons + excluded.persons"
	_, err = t.exec(ctx, sum, p.processor, year(t.now), kind, newly)
	return newly, err
}
