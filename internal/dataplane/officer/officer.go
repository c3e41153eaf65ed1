// Package officer is the `maodian officer` subcommand: whoever answers people's requests
// (PIPL 50) lists them, reads what is held about the one who asks, closes a request, and
// erases. It runs in the region, as a pod with the certificate of that role and no other.
//
// What it learns goes into a file that the caller names, never to the standard streams:
// those of a pod are read from outside the region (promise P2).
package officer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/maodian-dev/maodian/internal/dataplane/config"
	"github.com/maodian-dev/maodian/internal/identity"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

// Config is the officer's configuration file.
type Config struct {
	Store storeclient.Config `json:"store"`
	TLS   identity.Files     `json:"tls"`
}

// Validate checks what cannot be left to defaults.
func (c *Config) Validate() error {
	return config.Require("store.address", c.Store.Address, "store.namespace", c.Store.Namespace, "store.name", c.Store.Name,
		"tls.certFile", c.TLS.CertFile, "tls.keyFile", c.TLS.KeyFile, "tls.caFile", c.TLS.CAFile)
}

// Task is what to do.
type Task struct {
	Do        string // requests, access, answer, erase, import, recipients, tell, acknowledge
	Reference string // of an open request, or of a letter to a recipient
	Recipient string // who must be told of people
	Answer    string // reference of the recipient's answer to a letter
	Outcome   string // of an answer: Done, Refused
	Account   string // of an openid
	// OpenIDFile holds an openid and nothing else. It is not an argument, since arguments are
	// seen in lists of processes and in the cluster's objects.
	OpenIDFile string
	Out        string // the file to write
	File       string // the file to import, one JSON object a line
}

// Errors of a task.
var (
	ErrTask = errors.New("TaskInvalid")
	// ErrNotQuiet says that the erasure is done and a message may still be on its way.
	ErrNotQuiet = errors.New("NotAcknowledged")
)

// Run does one task.
func Run(ctx context.Context, cfg Config, t Task) error {
	if err := t.validate(); err != nil {
		return err
	}
	src, err := identity.NewFileSource(cfg.TLS)
	if err != nil {
		return err
	}
	client := storeclient.New(src, cfg.Store)
	defer client.Close()
	return t.do(ctx, client)
}

// validate tells what is missing before anything is done.
func (t Task) validate() error {
	person := t.Account != "" && t.OpenIDFile != ""
	needs := map[string]map[string]bool{
		"requests": {"--out": t.Out != ""},
		"access":   {"--out": t.Out != "", "--reference, or --account with --openid-file": (t.Reference != "") != person},
		"answer":   {"--reference": t.Reference != "", "--outcome Done or Refused": t.Outcome == "Done" || t.Outcome == "Refused"},
		"erase":    {"--account and --openid-file": person},
		"import":   {"--account, --file and --out": t.Account != "" && t.File != "" && t.Out != ""},

		"recipients":  {"--out": t.Out != ""},
		"tell":        {"--recipient, --reference and --out": t.Recipient != "" && t.Reference != "" && t.Out != ""},
		"acknowledge": {"--recipient, --reference and --answer": t.Recipient != "" && t.Reference != "" && t.Answer != ""},
	}
	need, known := needs[t.Do]
	if !known {
		return fmt.Errorf("%w: --do must be requests, access, answer, erase, import, recipients, tell or acknowledge", ErrTask)
	}
	for what, given := range need {
		if !given {
			return fmt.Errorf("%w: %s needs %s", ErrTask, t.Do, what)
		}
	}
	return nil
}

func (t Task) do(ctx context.Context, c *storeclient.Client) error {
	switch t.Do {
	case "requests":
		res, err := c.Officer.ListRequests(ctx, &storev1.ListRequestsRequest{})
		if err != nil {
			return fmt.Errorf("list requests: %w", err)
		}
		return t.write(res)
	case "answer":
		if _, err := c.Officer.AnswerRequest(ctx, &storev1.AnswerRequestRequest{Reference: t.Reference, Outcome: t.Outcome}); err != nil {
			return fmt.Errorf("answer request: %w", err)
		}
		return nil
	case "access":
		who, err := t.openID()
		if err != nil {
			return err
		}
		res, err := c.Officer.FetchRecord(ctx, &storev1.FetchRecordRequest{Reference: t.Reference, Account: t.Account, OpenId: who})
		if err != nil {
			return fmt.Errorf("fetch record: %w", err)
		}
		return t.write(res.GetRecord())
	case "import":
		return t.imports(ctx, c)
	case "recipients", "tell", "acknowledge":
		return t.recipients(ctx, c)
	}
	return t.erase(ctx, c)
}

func (t Task) erase(ctx context.Context, c *storeclient.Client) error {
	who, err := t.openID()
	if err != nil {
		return err
	}
	res, err := c.Officer.RemovePerson(ctx, &storev1.RemovePersonRequest{Account: t.Account, OpenId: who})
	if err != nil {
		return fmt.Errorf("erase: %w", err)
	}
	if !res.GetAcknowledged() {
		return ErrNotQuiet
	}
	return nil
}

// openID reads the file; empty where none is named.
func (t Task) openID() (string, error) {
	if t.OpenIDFile == "" {
		return "", nil
	}
	f, err := os.Open(t.OpenIDFile)
	if err != nil {
		return "", fmt.Errorf("read openid: %w", err)
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 256)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read openid: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// write makes a new file that its owner alone reads; one that is there is left alone.
func (t Task) write(m proto.Message) error {
	raw, err := protojson.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	var body bytes.Buffer
	if err := json.Indent(&body, raw, "", "  "); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	f, err := os.OpenFile(t.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	_, err = body.WriteTo(f)
	return errors.Join(err, f.Close())
}
