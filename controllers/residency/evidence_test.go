package residency

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/maodian-dev/maodian/internal/domain/placement"
	"github.com/maodian-dev/maodian/internal/domain/reason"
)

func TestEvidenceIsALineThatProgramsCanRead(t *testing.T) {
	var out bytes.Buffer
	log := LogEvidence{logr.FromSlogHandler(slog.NewJSONHandler(&out, nil))}
	log.Record(t.Context(), Entry{
		State: EvidenceFound, Policy: "cn", Object: placement.Object{Kind: placement.Pod, Namespace: "n", Name: "a"}, Reason: reason.RegionUnknown, FirstSeen: time.Unix(0, 0),
	})
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "logger": "evidence", "msg": "Placement", "state": "Found", "policy": "cn", "kind": "Pod", "namespace": "n", "name": "a",
		"reason": "RegionUnknown", "firstSeen": "1970-01-01T00:00:00Z",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
