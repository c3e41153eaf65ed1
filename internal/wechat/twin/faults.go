package twin

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"strconv"
	"time"
)

// giantBody is what the fault of that name sends if nobody stops it.
const giantBody = 1 << 30

// maxDelay bounds action "slow".
const maxDelay = time.Minute

// Rule injects a fault into API calls.
type Rule struct {
	// Path matches the API path, with * and ?; empty matches all. Host likewise.
	Path string `json:"path,omitempty"`
	Host string `json:"host,omitempty"`
	// From is the first matching call that is spoilt, counted from 1; Times how many
	// are, 0 meaning all that follow. Probability, if set, picks among them.
	From        int64   `json:"from,omitempty"`
	Times       int64   `json:"times,omitempty"`
	Probability float64 `json:"probability,omitempty"`
	// Action is one of Actions.
	Action string `json:"action"`
	// Code is the errcode of action "code", the HTTP status of action "status".
	Code int64 `json:"code,omitempty"`
	// DelayMillis is how late action "slow" answers; the call itself takes effect at once.
	DelayMillis int64 `json:"delayMillis,omitempty"`
}

// Actions are what a Rule can do, and whether the platform accepts the call.
var Actions = map[string]string{
	"code":        "an errcode, not accepted; 0 means -1, system busy",
	"lost":        "accepted, then the connection closes",
	"stall":       "accepted, then no answer until the client leaves",
	"drop":        "the connection closes, not accepted",
	"status":      "an HTTP status, not accepted; 0 means 502",
	"html":        "an HTML page with status 200, not accepted",
	"empty":       "an empty body with status 200, not accepted",
	"half":        "half a JSON object, not accepted",
	"giant":       "a body of a gigabyte, not accepted",
	"redirect":    "a redirect to another host, not accepted",
	"string-code": `{"errcode":"0"}, not accepted`,
	"revoke":      "the tokens die just before the call",
	"slow":        "accepted, and the answer comes after delayMillis",
}

// fault is a rule with its counters.
type fault struct {
	rule    Rule
	random  *rand.Rand
	matched int64
	fired   int64
}

// SetFaults replaces the rules.
func (p *Platform) SetFaults(rules []Rule) error {
	faults := make([]*fault, len(rules))
	for i, r := range rules {
		if _, ok := Actions[r.Action]; !ok {
			return fmt.Errorf("%w: rules[%d].action is unknown", ErrSettings, i)
		}
		if r.DelayMillis < 0 || r.DelayMillis > maxDelay.Milliseconds() {
			return fmt.Errorf("%w: rules[%d].delayMillis must be between 0 and %d", ErrSettings, i, maxDelay.Milliseconds())
		}
		for _, pattern := range []string{r.Path, r.Host} {
			if _, err := path.Match(pattern, ""); err != nil {
				return fmt.Errorf("%w: rules[%d] has a malformed pattern", ErrSettings, i)
			}
		}
		if r.Action == "code" && r.Code == 0 {
			r.Code = -1
		}
		faults[i] = &fault{rule: r, random: newRandom(p.settings.Seed, "fault"+strconv.Itoa(i))}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = faults
	return nil
}

// matchFault returns the first rule that fires for a call, nil if none does.
func (p *Platform) matchFault(host, apiPath string) *fault {
	for _, f := range p.faults {
		if f.fires(host, apiPath) {
			return f
		}
	}
	return nil
}

func (f *fault) fires(host, apiPath string) bool {
	if !matches(f.rule.Path, apiPath) || !matches(f.rule.Host, host) {
		return false
	}
	f.matched++
	if f.matched < f.rule.From || (f.rule.Times > 0 && f.fired >= f.rule.Times) {
		return false
	}
	if f.rule.Probability > 0 && f.random.Float64() >= f.rule.Probability {
		return false
	}
	f.fired++
	return true
}

func matches(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}

func (f *fault) is(action string) bool { return f != nil && f.rule.Action == action }

// losesAnswer: the call counts, its answer does not arrive.
func (f *fault) losesAnswer() bool { return f.is("lost") || f.is("stall") }

// spoils: the call does not reach the endpoint at all.
func (f *fault) spoils() bool {
	return f != nil && !f.losesAnswer() && !f.is("code") && !f.is("revoke") && !f.is("slow")
}

// delay keeps a slow answer back, until the client leaves at the latest.
func (f *fault) delay(ctx context.Context) {
	if !f.is("slow") {
		return
	}
	t := time.NewTimer(time.Duration(f.rule.DelayMillis) * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// answer does the rule's harm to the answer.
func (f *fault) answer(w http.ResponseWriter, r *http.Request) {
	const someHTML = "<html><body>Service unavailable</body></html>"
	switch f.rule.Action {
	case "lost", "drop":
		panic(http.ErrAbortHandler) // the server closes the connection, nothing else
	case "stall":
		<-r.Context().Done()
	case "status":
		http.Error(w, someHTML, cmp.Or(int(f.rule.Code), http.StatusBadGateway))
	case "html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(someHTML))
	case "empty":
		w.WriteHeader(http.StatusOK)
	case "half":
		_, _ = w.Write([]byte(`{"errcode":0,"errm`))
	case "giant":
		writeGiant(w)
	case "redirect":
		http.Redirect(w, r, "https://hk.api.weixin.qq.com"+r.URL.Path, http.StatusFound)
	case "string-code":
		_, _ = w.Write([]byte(`{"errcode":"0","errmsg":"ok","msgid":"1864323726461255680"}`))
	}
}

func writeGiant(w http.ResponseWriter) {
	chunk := make([]byte, 64<<10)
	for n := 0; n < giantBody; n += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return // the client has had enough
		}
	}
}
