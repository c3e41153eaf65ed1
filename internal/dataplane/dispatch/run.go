package dispatch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
	"github.com/maodian-dev/maodian/internal/wechat"
)

// Run sends this pod's shard of the run.
func Run(ctx context.Context, cfg Config) error {
	data, err := render(cfg.Subscription.Data, time.Now())
	if err != nil {
		return err
	}
	part, err := shard()
	if err != nil {
		return err
	}
	secret, err := config.Secret(cfg.CredentialsDir, "appSecret")
	if err != nil {
		return err
	}
	roots, err := config.Roots(cfg.ExtraCAFile)
	if err != nil {
		return err
	}
	account, err := wechat.New(wechat.Config{Name: cfg.Account, AppID: cfg.AppID, AppSecret: secret, Hosts: cfg.Hosts, RootCAs: roots})
	if err != nil {
		return err
	}
	defer account.Close()
	client, err := connectStore(cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	log := slog.Default().With("run", cfg.RunID, "shard", part)
	log.Info("Dispatching", "campaign", cfg.Campaign)
	w := &Worker{
		Store: client.Dispatch, Sender: account, RunID: cfg.RunID, Shard: part, Batch: cfg.Batch, Workers: cfg.Workers, Log: log,
		Message: wechat.SubscriptionMessage{TemplateID: cfg.Subscription.TemplateID, Page: cfg.Subscription.Page, Data: data},
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	log.Info("Shard finished")
	return nil
}

func connectStore(cfg Config) (*storeclient.Client, error) {
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return nil, err
	}
	return storeclient.New(src, cfg.Store), nil
}

// word tells whether the store refused with a stable word: trying again is no use.
func word(err error) bool {
	return storeclient.Word(err) != "" && storeclient.Word(err) != "Internal" && storeclient.Word(err) != "Deadline"
}

// ErrAudit says that the platform's audit and the ledger disagree.
var ErrAudit = errors.New("AuditDisagrees")

const maxAudit = 8 << 20

// Reconcile fetches an audit of what people received (JSON lines with openid and received)
// from a place in the region, has the store compare it person by person, and prints the
// numbers as one line of JSON.
func Reconcile(ctx context.Context, cfg Config, auditURL string, out io.Writer) error {
	received, err := fetchAudit(ctx, auditURL)
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
	line, err := numbers(res)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
		return fmt.Errorf("print audit: %w", err)
	}
	if res.GetSentNotOnce()+res.GetUnknownMore()+res.GetOthersReceived() > 0 {
		return ErrAudit
	}
	return nil
}

// numbers renders the answer with plain numbers, zero ones too.
func numbers(res *storev1.ReconcileResponse) ([]byte, error) {
	raw, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(res)
	if err != nil {
		return nil, fmt.Errorf("print audit: %w", err)
	}
	var strings map[string]json.Number
	if err := json.Unmarshal(raw, &strings); err != nil { // protojson writes int64 as text
		return nil, fmt.Errorf("print audit: %w", err)
	}
	return json.Marshal(strings)
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
