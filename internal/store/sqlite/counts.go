package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/aggregate"
	"github.com/maodian-dev/maodian/internal/store"
)

// maxCampaigns bounds the rows of a table by campaign: the newest ones are told.
const maxCampaigns = 32

// belowFirst is the key of people who have points, and too few for the first stage. No stage
// can be called so.
const belowFirst = "(none)"

// counting reads one moment of the ledger.
type counting struct {
	*sql.Tx
	view *store.View
	spec store.TransferSpec
	at   time.Time
}

// counters make the tables. What a row or column may be called comes from what is declared,
// not from people; only tags are what people chose.
var counters = map[aggregate.Name]func(context.Context, *counting) ([]aggregate.Cell, error){
	aggregate.LeadsByStage:      leadsByStage,
	aggregate.FollowersByTag:    followersByTag,
	aggregate.ConsentsByPurpose: consentsByPurpose,
	aggregate.SendsByOutcome:    sendsByOutcome,
}

// knownAggregates tells whether every name is that of a table, and none comes twice.
func knownAggregates(names []string) bool {
	seen := map[string]bool{}
	for _, n := range names {
		if _, known := aggregate.ShapeOf(aggregate.Name(n)); !known || seen[n] {
			return false
		}
		seen[n] = true
	}
	return true
}

// countTables counts the tables of a transfer, all at one moment, without keeping anybody
// from writing.
func (l *Ledger) countTables(ctx context.Context, id string) (map[aggregate.Name]aggregate.Table, time.Time, error) {
	at := l.cfg.Clock().UTC().Truncate(time.Millisecond)
	v, err := l.policyView()
	if err != nil {
		return nil, at, err
	}
	s, _, err := loadTransfer(ctx, l.read, id)
	if err != nil {
		return nil, at, err
	}
	t, err := l.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, at, fmt.Errorf("begin to count: %w", err)
	}
	defer t.Rollback() //nolint:errcheck // read only
	out := map[aggregate.Name]aggregate.Table{}
	for _, name := range s.Aggregates {
		count, known := counters[aggregate.Name(name)]
		if !known {
			return nil, at, store.ErrInvalid
		}
		cells, err := count(ctx, &counting{t, v, s, at})
		if err != nil {
			return nil, at, fmt.Errorf("count %s: %w", name, err)
		}
		out[aggregate.Name(name)] = aggregate.Table{Name: aggregate.Name(name), Cells: cells}
	}
	return out, at, nil
}

// numbers reads a query of row, column and people.
func (c *counting) numbers(ctx context.Context, q string, args ...any) (map[aggregate.Key]int64, error) {
	rows, err := c.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[aggregate.Key]int64{}
	for rows.Next() {
		var k aggregate.Key
		var people int64
		if err := rows.Scan(&k.Row, &k.Column, &people); err != nil {
			return nil, err
		}
		out[k] += people
	}
	return out, rows.Err()
}

// fill makes a table of declared rows and columns, with nobody where nobody was counted.
func fill(counted map[aggregate.Key]int64, rows, columns []string) (out []aggregate.Cell) {
	for _, r := range rows {
		for _, c := range columns {
			k := aggregate.Key{Row: r, Column: c}
			out = append(out, aggregate.Cell{Key: k, People: counted[k]})
		}
	}
	return out
}

// leadsByStage counts adults with points whose consent to marketing stands: given to the
// present notice, and not at its end. Points decay until now, as they do for an audience.
func leadsByStage(ctx context.Context, c *counting) ([]aggregate.Cell, error) {
	m, ok := c.view.LeadModel(c.spec.LeadModel)
	if usable := ok && m.Model.Validate() == nil; !usable {
		return nil, nil
	}
	names, least := []string{belowFirst}, []float64{}
	for _, s := range m.Model.Stages {
		names, least = append(names, s.Name), append(least, s.MinPoints)
	}
	stages, err := json.Marshal(least)
	if err != nil {
		return nil, err
	}
	const q = `SELECT '', COALESCE((SELECT max(key) + 1 FROM json_each(?1) WHERE value <= score), 0), count(*) FROM (
		SELECT l.points * pow(0.5, max(0, ?2 - l.at_ms) / ?3) AS score FROM lead_state l JOIN subjects s ON s.id = l.subject_id
		WHERE l.model = ?4 AND s.wrapped IS NOT NULL AND s.age_band = 'Adult' AND EXISTS (
			SELECT 1 FROM consent_state c WHERE c.subject_id = s.id AND c.purpose IN ('DirectMarketing', 'PersonalizedMarketing') AND c.recipient = ''
			AND c.action = 'Given' AND c.revision = ?5 AND (c.ends_ms = 0 OR c.ends_ms >= ?2))) GROUP BY 2`
	halfLife := float64(m.Model.HalfLifeDays) * 24 * float64(time.Hour/time.Millisecond)
	counted, err := c.numbers(ctx, q, string(stages), c.at.UnixMilli(), halfLife, m.Name, c.view.Notice.Revision)
	if err != nil {
		return nil, err
	}
	byName := map[aggregate.Key]int64{}
	for i, name := range names {
		byName[aggregate.Key{Column: name}] += counted[aggregate.Key{Column: fmt.Sprint(i)}]
	}
	return fill(byName, []string{""}, names), nil
}

// followersByTag counts who follows an account of the store, by interest.
func followersByTag(ctx context.Context, c *counting) ([]aggregate.Cell, error) {
	const q = `SELECT '', g.tag, count(*) FROM tags g JOIN subjects s ON s.id = g.subject_id
		WHERE s.wrapped IS NOT NULL AND EXISTS (SELECT 1 FROM relations r WHERE r.subject_id = s.id AND r.following = 1) GROUP BY g.tag`
	counted, err := c.numbers(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []aggregate.Cell
	for k, people := range counted {
		out = append(out, aggregate.Cell{Key: k, People: people})
	}
	return out, nil
}

// consentsByPurpose counts the newest answers to what the present notice asks. The purpose of
// a recipient is one of its own.
func consentsByPurpose(ctx context.Context, c *counting) ([]aggregate.Cell, error) {
	const q = `SELECT c.purpose || CASE c.recipient WHEN '' THEN '' ELSE '/' || c.recipient END, CASE c.action WHEN 'Expired' THEN 'Withdrawn' ELSE c.action END, count(*)
		FROM consent_state c JOIN subjects s ON s.id = c.subject_id WHERE s.wrapped IS NOT NULL GROUP BY 1, 2`
	counted, err := c.numbers(ctx, q)
	if err != nil {
		return nil, err
	}
	var items []string
	for _, p := range c.view.Notice.Purposes {
		items = append(items, p.Name)
	}
	for _, r := range c.view.Notice.Recipients {
		for _, p := range r.Purposes {
			items = append(items, p+"/"+r.Name)
		}
	}
	return fill(counted, items, []string{"Given", "Refused", "Withdrawn"}), nil
}

// sendsByOutcome counts whom the newest run of each campaign decided on.
func sendsByOutcome(ctx context.Context, c *counting) ([]aggregate.Cell, error) {
	const newest = `WITH newest AS (SELECT campaign, id FROM (
			SELECT json_extract(spec, '$.Campaign') AS campaign, id, planned_ms,
				row_number() OVER (PARTITION BY json_extract(spec, '$.Campaign') ORDER BY planned_ms DESC, id) AS n FROM runs WHERE state = 'Planned')
		WHERE n = 1 ORDER BY planned_ms DESC, campaign LIMIT ?) `
	const q = newest + `SELECT r.campaign, upper(substr(d.state, 1, 1)) || substr(d.state, 2), count(*) FROM newest r
		CROSS JOIN deliveries d ON d.run_id = r.id JOIN subjects s ON s.id = d.subject_id
		WHERE d.state IN ('sent', 'refused', 'failed', 'unknown') AND s.wrapped IS NOT NULL GROUP BY 1, 2
		UNION ALL SELECT campaign, '', 0 FROM newest`
	counted, err := c.numbers(ctx, q, maxCampaigns)
	if err != nil {
		return nil, err
	}
	var campaigns []string
	for k := range counted {
		if k.Total() {
			campaigns = append(campaigns, k.Row)
		}
	}
	return fill(counted, campaigns, []string{store.Sent, store.Refused, store.Failed, store.Unknown}), nil
}
