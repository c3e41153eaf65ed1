package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	_ "modernc.org/sqlite" // the driver

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	"github.com/maodian-dev/maodian/internal/store/seal"
)

// oracle computes from a store's ledger what a transfer must have sent. It shares no code with
// the transfer but the key that names people: it replays what people did and said, as it was
// recorded, and reads nothing of what the store made of it.
type oracle struct {
	db   *sql.DB
	ring *seal.Ring
}

// question is which transfer, and when it ran: points fall by the moment.
type question struct {
	purpose, recipient string
	revision           int64
	from, until        time.Time
	model              marketingv1.LeadModelSpec
}

// answer is a row as it must be; the score lies between those of two moments.
type answer struct {
	tags        []string
	least, most float64
	counted     map[string]int32 // how often a rule gave points on a day
}

// openOracle reads a ledger's file beside the store that has it open.
func openOracle(path string, key []byte) (*oracle, error) {
	ring, err := seal.NewRing(key, seal.AES256GCM)
	if err != nil {
		return nil, fmt.Errorf("use the store's key: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=query_only(1)&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return &oracle{db, ring}, nil
}

// agreed lists whose newest word on this purpose and recipient is a separate yes to the present
// notice, given before the transfer began, and may be used: of an adult, or confirmed by a guardian.
const agreed = `SELECT s.id FROM subjects s JOIN consent_events e ON e.subject_id = s.id
	WHERE s.wrapped IS NOT NULL AND e.purpose = ?1 AND e.recipient = ?2 AND e.action = 'Given' AND e.separate AND e.revision = ?3 AND e.at_ms < ?4
	AND (s.age_band = 'Adult' OR s.guardian = 'Verified')
	AND e.n = (SELECT max(n) FROM consent_events x WHERE x.subject_id = s.id AND x.purpose = e.purpose AND x.recipient = e.recipient)`

// answers returns every row that must be there, by the name that the recipient knows.
func (o *oracle) answers(ctx context.Context, q question) (map[string]answer, error) {
	people := map[string]*answer{}
	err := o.each(ctx, func(scan func(...any) error) error {
		var id []byte
		err := scan(&id)
		people[string(id)] = &answer{tags: []string{}, counted: map[string]int32{}}
		return err
	}, agreed, q.purpose, q.recipient, q.revision, q.from.UnixMilli())
	if err != nil {
		return nil, err
	}
	err = o.each(ctx, func(scan func(...any) error) error {
		var id []byte
		var e act
		if err := scan(&id, &e.kind, &e.key, &e.at); err != nil || people[string(id)] == nil {
			return err
		}
		people[string(id)].take(q, e)
		return nil
	}, "SELECT subject_id, kind, key, min(at_ms, received_ms) FROM events ORDER BY received_ms")
	out := map[string]answer{}
	for id, a := range people {
		slices.Sort(a.tags)
		out[subject.Commitment(o.ring.Commit("recipient "+q.recipient, []byte(id))).String()] = *a
	}
	return out, err
}

// each calls use for every row.
func (o *oracle) each(ctx context.Context, use func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := o.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("ask the ledger: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := use(rows.Scan); err != nil {
			return fmt.Errorf("ask the ledger: %w", err)
		}
	}
	return rows.Err()
}

// act is something that a person did.
type act struct {
	kind, key string
	at        int64
}

// take adds what an act tells about a person: an interest, points by the rules that it meets.
func (a *answer) take(q question, e act) {
	if tag, ok := strings.CutPrefix(e.key, "tag:"); ok && e.kind == "CLICK" && !slices.Contains(a.tags, tag) {
		a.tags = append(a.tags, tag)
	}
	for _, r := range q.model.Rules {
		day := fmt.Sprint(r.Name, (e.at/1000+8*3600)/86400) // in Shanghai
		if !meets(r, e) || (r.MaxPerDay > 0 && a.counted[day] >= r.MaxPerDay) {
			continue
		}
		a.counted[day]++
		a.most += q.left(float64(r.Points), e.at, q.from)
		a.least += q.left(float64(r.Points), e.at, q.until)
	}
}

// comparison is the form of every rule in the samples.
var comparison = regexp.MustCompile(`^event\.(scene|key) == '([^']*)'$`)

func meets(r marketingv1.LeadRule, e act) bool {
	if r.Event != e.kind && (r.Event != "message" || e.kind != "text") {
		return false
	}
	m := comparison.FindStringSubmatch(r.Match)
	return r.Match == "" || (m != nil && m[2] == e.key && (m[1] == "scene") == (e.kind == "subscribe" || e.kind == "SCAN"))
}

// left is what of points is left: they halve every half-life.
func (q question) left(points float64, at int64, now time.Time) float64 {
	age := max(0, now.Sub(time.UnixMilli(at)))
	return points * math.Pow(0.5, age.Hours()/24/float64(q.model.HalfLifeDays))
}

// cent is what a score is rounded to.
const cent = 0.01

// fits tells whether a row that arrived is the one that must.
func (q question) fits(a answer, row map[string]any) bool {
	want, err := json.Marshal(a.tags)
	tags, err2 := json.Marshal(row["tags"])
	score, isNumber := row["lead.score"].(float64)
	stage, isText := row["lead.stage"].(string)
	return err == nil && err2 == nil && isNumber && isText && len(row) == 4 && bytes.Equal(tags, want) &&
		score >= a.least-cent && score <= a.most+cent && (stage == q.stage(a.least) || stage == q.stage(a.most))
}

func (q question) stage(points float64) (name string) {
	for _, s := range q.model.Stages {
		if points >= float64(s.MinPoints) {
			name = s.Name
		}
	}
	return name
}

// verdict compares what arrived with what must have, in numbers: names stay here.
type verdict struct{ agree, missing, extra, doubled, different int }

// String tells the five numbers.
func (v verdict) String() string {
	return fmt.Sprintf("%d as they must be, %d missing, %d of others, %d doubled, %d different", v.agree, v.missing, v.extra, v.doubled, v.different)
}

func (q question) judge(want map[string]answer, got []map[string]any) (v verdict) {
	seen := map[string]bool{}
	for _, row := range got {
		id, _ := row["id"].(string)
		a, ok := want[id]
		switch {
		case seen[id]:
			v.doubled++
		case !ok:
			v.extra++
		case !q.fits(a, row):
			v.different++
		default:
			v.agree++
		}
		seen[id] = true
	}
	for id := range want {
		if !seen[id] {
			v.missing++
		}
	}
	return v
}

// audited compares a transfer's rows with the ledger, one by one.
func (s *story) audited(ctx context.Context, t *residencyv1.DataTransfer, got delivery) error {
	if s.o.state == "" {
		s.report.say("Not the local cluster: the ledger's file is not read, and rows are compared by numbers only.")
		return nil
	}
	o, err := s.oracleOf(ctx, t.Spec.StoreRef.Name)
	if err != nil {
		return err
	}
	q, err := s.questionOf(ctx, t)
	if err != nil {
		return errors.Join(err, o.db.Close())
	}
	want, err := o.answers(ctx, q)
	if err = errors.Join(err, o.db.Close()); err != nil {
		return err
	}
	s.report.check("rows that an oracle computes from the ledger, and of these that arrived once, field by field", q.judge(want, got.all), verdict{agree: s.expected.Transferable})
	return nil
}

// oracleOf finds the file of a store's ledger on this machine, and its key.
func (s *story) oracleOf(ctx context.Context, name string) (*oracle, error) {
	st := &residencyv1.ConsentStore{}
	if err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, st); err != nil {
		return nil, fmt.Errorf("read store: %w", err)
	}
	volume, err := s.set.CoreV1().PersistentVolumes().Get(ctx, st.Status.ProofOfPlacement.PersistentVolume, metav1.GetOptions{})
	if err != nil || volume.Spec.Local == nil {
		return nil, fmt.Errorf("find the volume on this machine: %w", err)
	}
	key, err := s.set.CoreV1().Secrets(namespace).Get(ctx, st.Spec.Encryption.KeySecretRef.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the store's key: %w", err)
	}
	return openOracle(filepath.Join(volume.Spec.Local.Path, "ledger.db"), key.Data["key"])
}

func (s *story) questionOf(ctx context.Context, t *residencyv1.DataTransfer) (question, error) {
	model, notice := &marketingv1.LeadModel{}, &residencyv1.PrivacyNotice{}
	if err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "brand-leads"}, model); err != nil {
		return question{}, fmt.Errorf("read lead model: %w", err)
	}
	if err := s.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "brand-notice"}, notice); err != nil {
		return question{}, fmt.Errorf("read notice: %w", err)
	}
	return question{
		purpose: string(t.Spec.Purpose), recipient: t.Spec.Recipient.Name, revision: int64(notice.Status.PublishedRevision),
		from: t.Status.StartTime.Time, until: t.Status.CompletionTime.Add(time.Minute), model: model.Spec,
	}, nil
}
