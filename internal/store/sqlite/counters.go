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
// pack.
//
// Those whom the transfer named except has counted are left out: a decision adds them itself.
func counter(ctx context.Context, q querier, v *store.View, at time.Time, except string) (transfer.Counter, error) {
	from := since(v, at)
	c, err := countedSince(ctx, q, v.Policy.Processor, from, year(at))
	if err != nil || except == "" {
		return c, err
	}
	var own transfer.Counter
	const mine = `SELECT COALESCE(sum(newly_plain), 0), COALESCE(sum(newly_sensitive), 0) FROM transfer_parts WHERE transfer_id = ?3 AND processor = ?1 AND year >= ?2`
	if err := q.QueryRowContext(ctx, mine, v.Policy.Processor, from, except).Scan(&own.NonSensitive, &own.Sensitive); err != nil {
		return c, fmt.Errorf("read transfer counter: %w", err)
	}
	return transfer.Counter{NonSensitive: max(0, c.NonSensitive-own.NonSensitive), Sensitive: max(0, c.Sensitive-own.Sensitive)}, nil
}

// since is the first year of the rule pack's window; a pack that is not known counts this one.
func since(v *store.View, at time.Time) int {
	if p := v.Pack(); p != nil {
		return p.Count.Since(at)
	}
	return year(at)
}

// countedSince reads how many people a processor's counters hold. One year is one row for each
// kind; over two, somebody who was sent in both counts once.
func countedSince(ctx context.Context, q querier, processor string, from, until int) (c transfer.Counter, err error) {
	s := `SELECT COALESCE(sum(persons) FILTER (WHERE NOT sensitive), 0), COALESCE(sum(persons) FILTER (WHERE sensitive), 0)
		FROM transfer_totals WHERE processor = ?1 AND year >= ?2`
	if from < until {
		s = `SELECT count(DISTINCT CASE sensitive WHEN 0 THEN commitment END), count(DISTINCT CASE sensitive WHEN 1 THEN commitment END)
			FROM transfer_persons WHERE processor = ?1 AND year >= ?2`
	}
	if err := q.QueryRowContext(ctx, s, processor, from).Scan(&c.NonSensitive, &c.Sensitive); err != nil {
		return c, fmt.Errorf("read transfer counter: %w", err)
	}
	return c, nil
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
	shared, err := l.sharedNames(ctx, t, p)
	if err != nil {
		return 0, moved, err
	}
	var kinds [2][]countedPerson
	for _, x := range p.people {
		c := countedPerson{here: l.cfg.Ring.Commit("transfer counter "+p.processor, x.id)}
		c.counted = c.here
		if name, ok := shared[[16]byte(x.id)]; ok {
			c.counted = name
		}
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

// countedPerson is a person's name in this ledger, and that in the year's counter: the same, unless
// the counter is shared with other stores.
type countedPerson struct{ here, counted subject.Commitment }

func (t *tx) countKind(ctx context.Context, p *parting, kind int, all []countedPerson) (int64, error) {
	if len(all) == 0 {
		return 0, nil
	}
	slices.SortFunc(all, func(a, b countedPerson) int { return bytes.Compare(a.counted[:], b.counted[:]) }) // neighbours share pages
	persons := make([]any, 0, 5*len(all))
	for i := range all {
		persons = append(persons, p.processor, year(t.now), kind, all[i].counted[:], p.spec.ID)
	}
	const one = "INSERT INTO transfer_persons (processor, year, sensitive, commitment, transfer_id) VALUES %s ON CONFLICT DO NOTHING"
	newly, err := insertAll(ctx, t.Tx, one, 5, persons)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(all, func(a, b countedPerson) int { return bytes.Compare(a.here[:], b.here[:]) })
	got := make([]any, 0, 4*len(all))
	for i := range all {
		got = append(got, p.spec.Recipient, kind, all[i].here[:], t.now.UnixMilli())
	}
	const last = "INSERT INTO recipient_persons (recipient, sensitive, commitment, last_ms) VALUES %s ON CONFLICT DO UPDATE SET last_ms = max(last_ms, excluded.last_ms)"
	if _, err := insertAll(ctx, t.Tx, last, 4, got); err != nil {
		return 0, err
	}
	const sum = "INSERT INTO transfer_totals (processor, year, sensitive, persons) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET persons = persons + excluded.persons"
	_, err = t.exec(ctx, sum, p.processor, year(t.now), kind, newly)
	return newly, err
}
