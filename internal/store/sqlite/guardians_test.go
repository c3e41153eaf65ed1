package sqlite

import (
	"encoding/json"
	"testing"

	"github.com/maodian-dev/maodian/internal/domain/consent"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// TestGuardian_LogHasTheFieldsOfTheLaw: law.md 3.7 names them, and TS 27560 the events.
func TestGuardian_LogHasTheFieldsOfTheLaw(t *testing.T) {
	clock := storetest.NewClock()
	w := &storetest.World{T: t, Ledger: opened(t, clock), Clock: clock}
	w.Choose(t.Context(), "child", consent.From14, storetest.Reporting)
	link := w.Ask("child", 1)
	if err := w.Says("mother", link, consent.GuardianVerified); err != nil {
		t.Fatal(err)
	}
	var raw []byte
	l := w.Ledger.(*Ledger)
	if err := l.read.QueryRowContext(t.Context(), "SELECT body FROM log WHERE kind = 'guardian' ORDER BY seq DESC LIMIT 1").Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"guardianState": "Verified", "method": "OwnAccountLink", "verifiedAt": float64(clock.Now().UnixMilli()), "subjectAgeBand": "14to17",
		"verifierRef": "wechat-web-authorization:brand", "event_type": "ProvideConsent", "event_state": "ConsentGiven", "entity_id": "guardian",
	} {
		if body[field] != want {
			t.Errorf("%s is %v, want %v", field, body[field], want)
		}
	}
	if s, _ := body["evidenceCommitment"].(string); len(s) != 64 {
		t.Errorf("evidenceCommitment is %q", s)
	}
}
