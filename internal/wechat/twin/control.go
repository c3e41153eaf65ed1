package twin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxControl bounds a control request.
const maxControl = 1 << 20

// Received is one line of the audit: what arrived on one person's phone.
type Received struct {
	OpenID   string `json:"openid"`
	Received int    `json:"received"`
	// ByTemplate counts by template id, "mass" for mass sends; ByContent by a hash of
	// the content.
	ByTemplate map[string]int `json:"byTemplate"`
	ByContent  map[string]int `json:"byContent"`
}

// Audit calls each for everybody who received something, by index; also for the
// others if everybody is set.
func (p *Platform) Audit(everybody bool, each func(Received) error) error {
	p.mu.Lock()
	n := len(p.people.flags)
	p.mu.Unlock()
	for i := range n {
		p.mu.Lock()
		r := p.received(i)
		p.mu.Unlock()
		if r.Received == 0 && !everybody {
			continue
		}
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

func (p *Platform) received(index int) Received {
	r := Received{
		OpenID: p.ids.encode(index), Received: int(p.people.received[index]),
		ByTemplate: map[string]int{}, ByContent: map[string]int{},
	}
	for _, k := range slices.Sorted(maps.Keys(p.people.byTemplate)) {
		if n := at(p.people.byTemplate[k], index); n > 0 {
			r.ByTemplate[k] = n
		}
	}
	for _, k := range slices.Sorted(maps.Keys(p.people.byContent)) {
		if n := at(p.people.byContent[k], index); n > 0 {
			r.ByContent[k] = n
		}
	}
	return r
}

// Summary is the twin in numbers.
type Summary struct {
	Followers int   `json:"followers"`
	People    int   `json:"people"`
	Received  int64 `json:"messagesReceived"`
	// Accepted counts send calls that the platform accepted; LostAnswers those of all
	// calls whose answer a fault then swallowed.
	Accepted    int64            `json:"sendsAccepted"`
	LostAnswers int64            `json:"lostAnswers"`
	TokenCalls  int64            `json:"tokenCalls"`
	Callbacks   CallbackCounts   `json:"callbacks"`
	Hosts       map[string]int64 `json:"callsPerHost"`
	Codes       map[string]int64 `json:"callsPerCode"`
	Scenario    Progress         `json:"scenario"`
}

// CallbackCounts counts callbacks, not attempts.
type CallbackCounts struct {
	Sent         int64 `json:"sent"`
	Acknowledged int64 `json:"acknowledged"`
	Failed       int64 `json:"failed"`
	Dropped      int64 `json:"dropped"`
	Waiting      int   `json:"waiting"`
}

// Summary counts everything so far.
func (p *Platform) Summary() Summary {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Summary{
		Followers: p.people.followers, People: len(p.people.flags), Received: p.people.messages,
		Accepted: p.stats.accepted, LostAnswers: p.stats.lost, TokenCalls: p.tokens.fetches,
		Callbacks: CallbackCounts{
			Sent: p.out.sent.Load(), Acknowledged: p.out.acknowledged.Load(), Failed: p.out.failed.Load(),
			Dropped: p.out.dropped.Load(), Waiting: len(p.out.queue),
		},
		Hosts: maps.Clone(p.stats.hosts), Codes: map[string]int64{}, Scenario: p.story.progress(),
	}
	for code, n := range p.stats.codes {
		s.Codes[strconv.FormatInt(code, 10)] = n
	}
	return s
}

// control is the API by which tests and the demo steer the twin.
type control struct {
	platform   *Platform
	consentURL string
	life       context.Context
}

// Control returns the handler of the control API. Scenarios that it starts end with life.
func (p *Platform) Control(life context.Context, consentURL string) http.Handler {
	c := &control{platform: p, consentURL: consentURL, life: life}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /twin/audit", c.audit)
	mux.HandleFunc("GET /twin/summary", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, p.Summary()) })
	mux.HandleFunc("POST /twin/faults", c.setFaults)
	mux.HandleFunc("DELETE /twin/faults", func(w http.ResponseWriter, _ *http.Request) {
		_ = p.SetFaults(nil) // no rule, no error
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /twin/tokens/revoke", c.revoke)
	mux.HandleFunc("POST /twin/followers", c.play)
	mux.HandleFunc("POST /twin/expected", c.expected)
	return mux
}

func (c *control) audit(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	err := c.platform.Audit(r.URL.Query().Get("all") == "1", func(line Received) error { return lines.Encode(line) })
	if err == nil {
		_ = buffered.Flush() // the client may have left
	}
}

func (c *control) setFaults(w http.ResponseWriter, r *http.Request) {
	var rules []Rule
	if !readJSON(w, r, &rules) {
		return
	}
	if err := c.platform.SetFaults(rules); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *control) revoke(w http.ResponseWriter, r *http.Request) {
	seconds, err := strconv.Atoi(r.URL.Query().Get("stuckSeconds"))
	if err != nil {
		seconds = 0
	}
	c.platform.RevokeTokens(time.Duration(seconds) * time.Second)
	w.WriteHeader(http.StatusNoContent)
}

// scenario reads a scenario; what it leaves out is as in the demo.
func (c *control) scenario(w http.ResponseWriter, r *http.Request) (Scenario, bool) {
	s := DefaultScenario(c.platform.settings.Seed, c.platform.settings.AppID, 2000)
	s.TemplateID = c.platform.settings.Templates[0]
	return s, readJSON(w, r, &s)
}

func (c *control) play(w http.ResponseWriter, r *http.Request) {
	s, ok := c.scenario(w, r)
	if !ok {
		return
	}
	run, err := c.platform.begin(s, c.consentURL)
	switch {
	case errors.Is(err, ErrBusy):
		http.Error(w, err.Error(), http.StatusConflict)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	go func() { _ = run(c.life) }() // the summary tells how it went
	writeJSON(w, http.StatusAccepted, c.platform.Summary().Scenario)
}

func (c *control) expected(w http.ResponseWriter, r *http.Request) {
	s, ok := c.scenario(w, r)
	if !ok {
		return
	}
	e, err := Expected(s)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, e)
}

// readJSON reads a body strictly; an empty one leaves v as it is.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		http.Error(w, "body is not the JSON that belongs here", http.StatusBadRequest)
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have left
}
