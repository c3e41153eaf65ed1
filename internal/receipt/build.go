package receipt

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/ledger"
)

// MaxEvents bounds a receipt: one with so many events has the newest ones only.
const MaxEvents = 256

// Evidence is what a receipt follows from.
type Evidence struct {
	VerifierKey string            `json:"verifierKey"`
	Checkpoint  string            `json:"checkpoint"` // signed
	Entries     []Proven          `json:"entries"`    // oldest first
	Shown       []json.RawMessage `json:"shown"`      // what entries name by its hash, in that order
}

// Proven is an entry of the log with its inclusion proof.
type Proven struct {
	ledger.Entry
	Proof [][]byte `json:"proof"`
}

// Hash names what was shown, by the SHA-256 of its compact JSON.
func Hash(shown []byte) string {
	sum := sha256.Sum256(shown)
	return hex.EncodeToString(sum[:])
}

// act is an entry, read.
type act struct {
	said
	seq   uint64
	at    time.Time
	shown *Shown
	told  *uint64 // the entry about the notice before it
}

// Build makes the receipt of a principal from evidence. It reads, and checks no proof.
func Build(principal []byte, e Evidence) (Receipt, error) {
	s, err := read(e)
	if err != nil {
		return Receipt{}, err
	}
	acts := s.acts
	id := hex.EncodeToString(principal)
	r := Receipt{SchemaVersion: Schema, PIIPrincipalID: id, Parties: []Party{}, Records: []Record{}, Evidence: e}
	r.ReceiptID = uuid("receipt", id, e.Checkpoint, fmt.Sprint(len(acts)), fmt.Sprint(acts[len(acts)-1].seq))
	for _, a := range acts {
		i := slices.IndexFunc(r.Records, func(x Record) bool { return x.RecordID == uuid("record", id, a.Purpose, a.Recipient) })
		if i < 0 {
			i = len(r.Records)
			r.Records = append(r.Records, r.record(a, ofConsent(acts, a)))
		}
		r.Records[i].Events = append(r.Records[i].Events, r.event(a))
	}
	for _, k := range s.looks {
		entity := id
		if k.Control == consent.Guardian {
			entity = "guardian"
		}
		r.Notices = append(r.Notices, NoticeEvent{
			Time: stamp(k.at), EntityID: entity, Type: "ShowNotice", State: "ConsentRequested", Language: k.Language, Opened: k.Opened, LogIndex: k.seq,
			Evidence: ActEvidence{Control: k.Control, Channel: k.Channel, Account: k.Account, NoticeRevision: k.Revision, NoticeHash: k.Shown},
		})
	}
	for _, g := range s.guards {
		r.Guardians = append(r.Guardians, g.event())
	}
	return r, nil
}

func (g guard) event() GuardianEvent {
	typ, state := GuardianTerms(g.State)
	return GuardianEvent{
		Time: stamp(g.at), EntityID: "guardian", Type: typ, State: state, GuardianState: g.State, Relation: g.Relation, Method: g.Method,
		VerifierRef: g.VerifierRef, EvidenceCommitment: g.EvidenceCommitment, SubjectAgeBand: g.SubjectAgeBand, LogIndex: g.seq,
		Evidence: ActEvidence{
			Control: consent.Guardian, Channel: said{Control: consent.Guardian}.channel(), Account: g.Account, NoticeRevision: g.Revision, NoticeHash: g.Shown, NoticeLogIndex: g.told,
		},
	}
}

// ofConsent is the act whose notice describes a consent: the newest that was shown one.
func ofConsent(acts []act, of act) act {
	for _, a := range slices.Backward(acts) {
		if a.Purpose == of.Purpose && a.Recipient == of.Recipient && a.shown != nil {
			return a
		}
	}
	return of
}

// look is an entry about a notice that was shown, read.
type look struct {
	seen
	seq uint64
	at  time.Time
}

// guard is an entry about a guardian, read.
type guard struct {
	guarded
	seq  uint64
	at   time.Time
	told *uint64 // the entry about the notice before it
}

// story is what the entries of a receipt tell.
type story struct {
	acts   []act
	looks  []look
	guards []guard
	named  []string // hashes of what was shown, in the order in which entries name them
}

// read reads the bodies of all entries, and what they say was shown.
func read(e Evidence) (s story, err error) {
	shown, used, err := readShown(e)
	if err != nil {
		return s, err
	}
	for i, x := range e.Entries {
		if i > 0 && e.Entries[i-1].Seq >= x.Seq {
			return s, unproved("entries are not in their order")
		}
		if err := s.add(x, shown); err != nil {
			return s, err
		}
	}
	if len(s.acts) == 0 || len(s.acts) > MaxEvents || len(s.guards) > MaxEvents {
		return s, unproved("a receipt has between 1 and %d events, and no more of guardians", MaxEvents)
	}
	if !slices.Equal(s.named, used) {
		return s, unproved("the receipt shows another notice than its entries name")
	}
	return s, s.refer()
}

func (s *story) add(x Proven, shown map[string]*Shown) error {
	var hash string
	switch x.Kind {
	case KindShown:
		k, err := readLook(x)
		if err != nil {
			return err
		}
		s.looks, hash = append(s.looks, k), k.Shown
	case KindGuardian:
		g, err := readGuard(x)
		if err != nil {
			return err
		}
		s.guards, hash = append(s.guards, g), g.Shown
	default:
		a, err := readAct(x, shown)
		if err != nil {
			return err
		}
		s.acts, hash = append(s.acts, a), a.Shown
	}
	if hash != "" && !slices.Contains(s.named, hash) {
		s.named = append(s.named, hash)
	}
	return nil
}

func readLook(x Proven) (look, error) {
	k := look{seq: x.Seq, at: x.Time}
	if err := json.Unmarshal(x.Body, &k.seen); err != nil || k.Look <= 0 {
		return k, unproved("entry %d does not say what was shown", x.Seq)
	}
	return k, nil
}

func readGuard(x Proven) (guard, error) {
	g := guard{seq: x.Seq, at: x.Time}
	if err := json.Unmarshal(x.Body, &g.guarded); err != nil || g.State == "" {
		return g, unproved("entry %d does not say what a guardian said", x.Seq)
	}
	return g, nil
}

// refer finds the look that every act answers. There are no others in a receipt.
func (s *story) refer() error {
	answered := map[int64]bool{}
	find := func(n int64, shown string, seq uint64) (*uint64, error) {
		if n == 0 {
			return nil, nil
		}
		i := slices.IndexFunc(s.looks, func(k look) bool { return k.Look == n && k.Shown == shown && k.seq < seq })
		if i < 0 {
			return nil, unproved("when that was shown which entry %d answers is missing", seq)
		}
		answered[n] = true
		return &s.looks[i].seq, nil
	}
	var err error
	for i := range s.acts {
		if s.acts[i].told, err = find(s.acts[i].Look, s.acts[i].Shown, s.acts[i].seq); err != nil {
			return err
		}
	}
	for i := range s.guards {
		if s.guards[i].told, err = find(s.guards[i].Look, s.guards[i].Shown, s.guards[i].seq); err != nil {
			return err
		}
	}
	if len(answered) != len(s.looks) {
		return unproved("the receipt says of a notice that was shown and not answered")
	}
	return nil
}

// readAct reads an entry, which names what was shown before it.
func readAct(x Proven, shown map[string]*Shown) (act, error) {
	s, err := readSaid(x.Body)
	if err != nil {
		return act{}, err
	}
	a := act{said: s, seq: x.Seq, at: x.Time, shown: shown[s.Shown]}
	if s.Shown != "" && a.shown == nil {
		return act{}, unproved("what was shown before entry %d is missing or changed", a.seq)
	}
	return a, nil
}

// readShown reads what was shown, by its hash, and the hashes in their order.
func readShown(e Evidence) (shown map[string]*Shown, used []string, err error) {
	shown = map[string]*Shown{}
	for _, raw := range e.Shown {
		var compact bytes.Buffer
		var s Shown
		if json.Compact(&compact, raw) != nil || json.Unmarshal(raw, &s) != nil {
			return nil, nil, unproved("what was shown cannot be read")
		}
		shown[Hash(compact.Bytes())] = &s
		used = append(used, Hash(compact.Bytes()))
	}
	return shown, used, nil
}

func (r *Receipt) record(a, described act) Record {
	n := described.shown
	out := Record{
		SchemaVersion: Schema, RecordID: uuid("record", r.PIIPrincipalID, a.Purpose, a.Recipient), PIIPrincipalID: r.PIIPrincipalID,
		PrivacyNotice: fmt.Sprintf("revision %d", described.Revision), Language: cmp.Or(described.Language, Unstated), LawfulBasis: "Consent (PIPL 13(1))",
		Purposes: []Purpose{{Purpose: a.Purpose, PurposeType: purposeType(a.Purpose)}}, PIIInformation: []PII{}, PIIControllers: []string{},
		StorageLocations: []string{Unstated}, RetentionPeriod: Unstated, Jurisdiction: Unstated, RecipientThirdParties: []string{},
		WithdrawalMethod: withdrawal, PrivacyRights: Unstated, Events: []Event{},
	}
	if n == nil {
		return out
	}
	out.PrivacyNotice = fmt.Sprintf("%s, revision %d", n.Notice, n.Revision)
	out.PIIControllers = []string{r.party(Party{ID: "controller", Name: n.Processor, Address: Unstated, Contact: n.ProcessorContact, Type: "PIIController"})}
	out.StorageLocations, out.RetentionPeriod = []string{cmp.Or(local(n.StoragePlaceText, described.Language), n.StoragePlace, Unstated)}, days(n.RetentionDays)
	out.Jurisdiction, out.PrivacyRights = cmp.Or(n.Jurisdiction, Unstated), cmp.Or(local(n.Rights, described.Language), Unstated)
	if p := n.purpose(a.Purpose); p != nil {
		out.Purposes[0].Description, out.PIIInformation = local(p.Description, described.Language), pii(p.Categories)
	}
	if x := n.recipient(a.Recipient); x != nil {
		out.PIIInformation = pii(x.Categories)
		out.RecipientThirdParties = []string{r.party(Party{
			ID: x.Name, Name: cmp.Or(x.DisplayName, x.Name), Address: Unstated, Contact: x.Contact, Type: "ThirdParty", URL: x.RightsChannel, Country: x.Country,
		})}
	}
	return out
}

// party adds a party once, and returns its id. Another party under the same id, of another
// revision of the notice, gets a number of its own.
func (r *Receipt) party(p Party) string {
	base := p.ID
	for n := 2; ; n++ {
		i := slices.IndexFunc(r.Parties, func(x Party) bool { return x.ID == p.ID })
		switch {
		case i < 0:
			r.Parties = append(r.Parties, p)
			return p.ID
		case r.Parties[i] == p:
			return p.ID
		}
		p.ID = fmt.Sprintf("%s-%d", base, n)
	}
}

func (r *Receipt) event(a act) Event {
	entity := r.PIIPrincipalID
	if a.Control == consent.Clock {
		entity = "controller"
	}
	return Event{
		Time: stamp(a.at), ValidityDuration: a.validity(a.at, a.shown), EntityID: entity,
		Type: typeOf(a.Action), State: stateOf(a.Action), SeparateConsent: a.Separate, StatutoryArticle: a.article(a.shown), LogIndex: a.seq,
		Evidence: ActEvidence{Control: a.Control, Channel: a.channel(), Account: a.Account, NoticeRevision: a.Revision, NoticeHash: a.Shown, NoticeLogIndex: a.told},
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// uuid is the id of a record or receipt: the same facts have the same one. It has the form
// of a version 4 UUID, as the standard asks; its bits are those of a hash over a random id.
func uuid(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%d:%s|", len(p), p) // a hash does not fail
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
