package dispatch

import (
	"strings"
	"testing"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

func TestJudge(t *testing.T) {
	well := func() *storev1.ReconcileResponse {
		return &storev1.ReconcileResponse{SentOnce: 481, UnknownOnce: 3, UnknownNone: 5, OthersNone: 1479}
	}
	for name, c := range map[string]struct {
		change    func(*storev1.ReconcileResponse)
		accounted int64
		unknown   int64
		agrees    bool
	}{
		"everybody received what the ledger says": {func(*storev1.ReconcileResponse) {}, 489, 8, true},
		"any number of people":                    {func(*storev1.ReconcileResponse) {}, 0, -1, true},
		"somebody is missing":                     {func(*storev1.ReconcileResponse) {}, 490, 8, false},
		"sent, and received none or two":          {func(r *storev1.ReconcileResponse) { r.SentNotOnce = 1 }, 489, 8, false},
		"unknown, and received two":               {func(r *storev1.ReconcileResponse) { r.UnknownMore = 1 }, 489, 8, false},
		"left out, and received one":              {func(r *storev1.ReconcileResponse) { r.OthersReceived = 1 }, 489, 8, false},
		"still running":                           {func(r *storev1.ReconcileResponse) { r.Unfinished = 1 }, 489, 8, false},
		"more are unknown than were in flight":    {func(*storev1.ReconcileResponse) {}, 489, 7, false},
	} {
		r := well()
		c.change(r)
		v := judge(r, Audit{Accounted: c.accounted, MostUnknown: c.unknown})
		if v.Agrees != c.agrees || (len(v.Disagrees) == 0) != c.agrees {
			t.Errorf("%s: %+v", name, v)
		}
	}
	var line strings.Builder
	err := judge(well(), Audit{Accounted: 489, MostUnknown: -1}).print(&line)
	const want = `{"agrees":true,"sentOnce":"481","unknownOnce":"<20","unknownNone":"<20","disagrees":[]}` + "\n"
	if err != nil || line.String() != want {
		t.Errorf("printed %swant %s", &line, want)
	}
}
