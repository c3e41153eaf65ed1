package dispatch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/domain/subject"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// ErrAudit says that the platform's audit and the ledger disagree.
var ErrAudit = errors.New("AuditDisagrees")

const maxAudit = 8 << 20

// Audit is a question to platform and ledger: do they agree, person by person?
type Audit struct {
	URL string // of what people received, in the region: JSON lines with openid and received
	// Accounted is how many people must be sent to or unknown; 0: any number.
	Accounted int64
	// MostUnknown is how many outcomes may be unknown at most; negative: any number.
	MostUnknown int64
}

// Verdict is the answer as it may leave the region, where pod logs go too (promise P2).
type Verdict struct {
	Agrees bool `json:"agrees"`
	// SentOnce, UnknownOnce and UnknownNone are numbers of people: those recorded as sent
	// who received one message, and those whose outcome is unknown, by what they received.
	SentOnce    string `json:"sentOnce"`
	UnknownOnce string `json:"unknownOnce"`
	UnknownNone string `json:"unknownNone"`
	// Disagrees names what is wrong.
	Disagrees []string `json:"disagrees"`
}

// Reconcile has the store compare an audit with the ledger, prints the verdict as one line
// of JSON, and returns ErrAudit if they disagree.
func Reconcile(ctx context.Context, cfg Config, audit Audit, out io.Writer) error {
	received, err := fetchAudit(ctx, audit.URL)
	if err != nil {
		return err
	}
	client, err := connectStore(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	res, err := client.Dispatch.Reconcile(ctx, &storev1.ReconcileRequest{RunId: cfg.RunID, Received: received})
	if err != nil {
		return fmt.Errorf("reconcile: %w", err)
	}
	v := judge(res, audit)
	if err := v.print(out); err != nil {
		return err
	}
	if !v.Agrees {
		return ErrAudit
	}
	return nil
}

// judge compares exact numbers, and keeps them.
func judge(r *storev1.ReconcileResponse, a Audit) Verdict {
	unknown := r.GetUnknownOnce() + r.GetUnknownNone()
	v := Verdict{
		SentOnce: subject.People(r.GetSentOnce()), UnknownOnce: subject.People(r.GetUnknownOnce()), UnknownNone: subject.People(r.GetUnknownNone()),
		Disagrees: []string{},
	}
	for _, x := range []struct {
		wrong bool
		says  string
	}{
		{r.GetSentNotOnce() > 0, "somebody recorded as sent did not receive exactly one message"},
		{r.GetUnknownMore() > 0, "somebody whose outcome is unknown received more than one message"},
		{r.GetOthersReceived() > 0, "somebody who was not sent to received a message"},
		{r.GetUnfinished() > 0, "the run is not finished"},
		{a.Accounted > 0 && r.GetSentOnce()+unknown != a.Accounted, "sent and unknown are not as many as expected"},
		{a.MostUnknown >= 0 && unknown > a.MostUnknown, "more outcomes are unknown than expected"},
	} {
		if x.wrong {
			v.Disagrees = append(v.Disagrees, x.says)
		}
	}
	v.Agrees = len(v.Disagrees) == 0
	return v
}

func (v Verdict) print(out io.Writer) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false) // "<20" is for people to read
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("print audit: %w", err)
	}
	return nil
}

func fetchAudit(ctx context.Context, url string) ([]*storev1.Received, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: audit URL", config.ErrConfig)
	}
	client := &http.Client{ // no proxy and no redirect: either could lead out of the region
		Transport:     &http.Transport{ResponseHeaderTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return nil, errors.New("AuditUnreachable: the audit cannot be fetched")
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("AuditUnreachable: status %d", res.StatusCode)
	}
	var out []*storev1.Received
	body := &io.LimitedReader{R: res.Body, N: maxAudit}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		var line struct {
			OpenID   string `json:"openid"`
			Received int32  `json:"received"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return nil, errors.New("AuditMalformed: a line is not what it should be")
		}
		out = append(out, &storev1.Received{OpenId: line.OpenID, Messages: line.Received})
	}
	if err := lines.Err(); err != nil || body.N <= 0 {
		return nil, errors.New("AuditMalformed: the audit cannot be read")
	}
	return out, nil
}
