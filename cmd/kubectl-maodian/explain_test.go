package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/manifest"
)

const moment1 = "2026-11-23T08:00:00Z"

// cluster1 is a cluster with the samples, as the manager has looked at them.
func cluster1(t *testing.T) *manifest.Set {
	t.Helper()
	s, err := manifest.NewSet("")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(slices.Clone(base), "60-transfer-blocked", "61-transfer-allowed") {
		if err := readFile(s, filepath.Join("..", "..", "config", "samples", file+".yaml")); err != nil {
			t.Fatal(err)
		}
	}
	s.Notices[0].Status.PublishedRevision = s.Notices[0].Spec.Revision
	p := &s.Policies[0]
	p.CreationTimestamp = metav1.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	p.Status.GovernedNamespaces = []string{"brand-cn"}
	p.Status.TransferCounters = []residencyv1.TransferCounter{{Processor: "acme-china", Year: 2026, NonSensitivePersons: "1200", SensitivePersons: "<20"}}
	decided := metav1.Date(2026, time.November, 20, 2, 0, 0, 0, time.UTC)
	refused := &s.Transfers[0].Status
	refused.Decision, refused.DecidedTime, refused.Mechanism = residencyv1.DecisionRefused, decided, "Contract"
	refused.Refusals = []residencyv1.Refusal{
		{Code: "PIAMissing", Cites: []string{"PIPL 55"}, Field: "spec.impactAssessment", Message: "no impact assessment", Remedy: "complete one"},
		{Code: "MechanismMissing", Cites: []string{"PIPL 38"}, Field: "spec.mechanismRef", Message: "none is named", Remedy: "name one"},
	}
	allowed := &s.Transfers[1].Status
	allowed.Decision, allowed.DecidedTime, allowed.CompletionTime, allowed.Mechanism = residencyv1.DecisionAllowed, decided, decided, "Contract"
	ready(allowed, "Complete", "records of 480 people left, each with consent and ledger entry")
	return s
}

func ready(st *residencyv1.DataTransferStatus, reason, message string) {
	st.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", Reason: reason, Message: message}}
}

// reading is a client for somebody who may not read some kinds.
func reading(t *testing.T, s *manifest.Set, forbidden ...string) client.Reader {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	var objects []client.Object
	add := func(o client.Object) { objects = append(objects, o) }
	for i := range s.Transfers {
		add(&s.Transfers[i])
	}
	for i := range s.Holds {
		add(&s.Holds[i])
	}
	for i := range s.Mechanisms {
		add(&s.Mechanisms[i])
	}
	add(&s.Policies[0])
	add(&s.Stores[0])
	add(&s.Notices[0])
	add(&s.Namespaces[0])
	allow := func(o any) error {
		kind := strings.TrimSuffix(fmt.Sprintf("%T", o)[strings.LastIndex(fmt.Sprintf("%T", o), ".")+1:], "List")
		switch {
		case slices.Contains(forbidden, kind):
			return apierrors.NewForbidden(schema.GroupResource{Resource: kind}, "", errors.New("no right"))
		case slices.Contains(forbidden, "broken "+kind):
			return apierrors.NewInternalError(errors.New("broken"))
		}
		return nil
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := allow(o); err != nil {
				return err
			}
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := allow(list); err != nil {
				return err
			}
			return c.List(ctx, list, opts...)
		},
	}).Build()
}

// explained runs the command's work, and returns its exit code as main would.
func explained(t *testing.T, r client.Reader, name, output string) (int, string, error) {
	t.Helper()
	var out bytes.Buffer
	err := explainOptions{now: moment1, output: output}.run(t.Context(), r, "brand-cn", name, &out)
	if err == nil {
		return exitOK, out.String(), nil
	}
	own := exit{}
	if !errors.As(err, &own) {
		t.Fatalf("error without an exit code: %v", err)
	}
	return own.code, out.String(), own.err
}

func TestExplain(t *testing.T) {
	const blocked, allowed = "leads-to-zurich", "leads-to-zurich-q4"
	hold := func(s *manifest.Set) {
		if err := readFile(s, filepath.Join("..", "..", "config", "samples", "70-hold.yaml")); err != nil {
			panic(err)
		}
	}
	for name, c := range map[string]struct {
		transfer  string
		change    func(*manifest.Set)
		forbidden []string
		code      int
		now       residencyv1.Decision
		added     []string
		gone      []string
	}{
		"nothing has changed":            {blocked, nil, nil, exitRefused, "Refused", nil, nil},
		"complete, and allowed":          {allowed, nil, nil, exitOK, "Allowed", nil, nil},
		"complete, and now under a hold": {allowed, hold, nil, exitOK, "Refused", []string{"PublicSecurityHold"}, nil},
		"stopped midway by a hold": {allowed, func(s *manifest.Set) {
			hold(s)
			ready(&s.Transfers[1].Status, "TransferStopped", "stopped midway by PublicSecurityHold")
		}, nil, exitRefused, "Refused", []string{"PublicSecurityHold"}, nil},
		"the papers came since": {blocked, func(s *manifest.Set) {
			s.Transfers[0].Spec = s.Transfers[1].Spec
		}, nil, exitRefused, "Allowed", nil, []string{"PIAMissing", "MechanismMissing"}},
		"nobody had agreed": {allowed, func(s *manifest.Set) {
			st := &s.Transfers[1].Status
			*st = residencyv1.DataTransferStatus{Decision: "Refused", Refusals: []residencyv1.Refusal{{Code: "ConsentMissing", Message: "nobody", Remedy: "ask"}}}
		}, nil, exitRefused, "Refused", nil, nil},
		"a hold was lifted": {allowed, func(s *manifest.Set) {
			st := &s.Transfers[1].Status
			*st = residencyv1.DataTransferStatus{Decision: "Refused", Refusals: []residencyv1.Refusal{{Code: "PublicSecurityHold", Message: "a hold", Remedy: "none"}}}
		}, nil, exitRefused, "", nil, []string{"PublicSecurityHold"}},
		"no decision yet":             {allowed, func(s *manifest.Set) { s.Transfers[1].Status = residencyv1.DataTransferStatus{} }, nil, exitRefused, "", nil, nil},
		"the counter is not told yet": {allowed, func(s *manifest.Set) { s.Policies[0].Status.TransferCounters = nil }, nil, exitOK, "Refused", []string{"CounterUnavailable"}, nil},
		"near the assessment": {allowed, func(s *manifest.Set) { s.Policies[0].Status.TransferCounters[0].NonSensitivePersons = "999999" }, nil, exitOK, "Refused",
			[]string{"MechanismInsufficient", "MechanismScopeExceeded"}, nil},
		"only the kinds":           {allowed, nil, []string{"Namespace"}, exitOK, "Allowed", nil, nil},
		"without holds":            {allowed, nil, []string{"RegulatoryHold"}, exitOK, "", nil, nil},
		"without the policy":       {blocked, nil, []string{"ResidencyPolicy"}, exitRefused, "", nil, nil},
		"without policy and place": {allowed, nil, []string{"ResidencyPolicy", "Namespace"}, exitOK, "", nil, nil},
		"without the store":        {allowed, nil, []string{"ConsentStore"}, exitOK, "Refused", nil, nil},
		"nothing but the transfer": {allowed, nil, []string{"ResidencyPolicy", "Namespace", "ConsentStore", "RegulatoryHold", "PrivacyNotice", "TransferMechanism"}, exitOK, "", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster1(t)
			if c.change != nil {
				c.change(s)
			}
			r := reading(t, s, c.forbidden...)
			file := filepath.Join("testdata", "explain", strings.NewReplacer(" ", "-", ",", "").Replace(name))
			code, text, err := explained(t, r, c.transfer, "text")
			if code != c.code || err != nil {
				t.Fatalf("exit code %d: %v", code, err)
			}
			golden(t, file+".txt", text)
			for line := range strings.Lines(text) {
				if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > 80 {
					t.Errorf("not for 80 columns: %q", line)
				}
			}
			for _, kind := range c.forbidden {
				if kind != "PrivacyNotice" && !strings.Contains(text, "you may not read "+strings.TrimSuffix(kind, "y")) { // a notice is known by its store alone
					t.Errorf("%s is not named", kind)
				}
			}
			code, raw, err := explained(t, r, c.transfer, "json")
			if code != c.code || err != nil {
				t.Fatalf("exit code %d: %v", code, err)
			}
			golden(t, file+".json", raw)
			var x explanation
			if err := json.Unmarshal([]byte(raw), &x); err != nil {
				t.Fatal(err)
			}
			if x.Changed == nil {
				x.Changed = &changed{}
			}
			if x.Now.Decision != c.now || !slices.Equal(x.Changed.Added, c.added) || !slices.Equal(x.Changed.Gone, c.gone) {
				t.Errorf("now %q, added %v, gone %v", x.Now.Decision, x.Changed.Added, x.Changed.Gone)
			}
		})
	}
}

func TestExplain_WhatCannotBeFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		transfer, output string
		broken           []string
		says             string
	}{
		"no such transfer":   {"nobody", "text", nil, "no DataTransfer nobody in namespace brand-cn"},
		"no right to it":     {"leads-to-zurich", "text", []string{"DataTransfer"}, "no right"},
		"an unknown form":    {"leads-to-zurich", "xml", nil, "-o must be text or json"},
		"a broken policy":    {"leads-to-zurich", "text", []string{"broken ResidencyPolicy"}, "read ResidencyPolicy cn-mainland: "},
		"a broken namespace": {"leads-to-zurich", "text", []string{"broken Namespace"}, "read Namespace brand-cn: "},
		"a broken store":     {"leads-to-zurich", "text", []string{"broken ConsentStore"}, "read ConsentStore brand-store: "},
		"a broken notice":    {"leads-to-zurich", "text", []string{"broken PrivacyNotice"}, "read PrivacyNotice brand-notice: "},
		"a broken mechanism": {"leads-to-zurich-q4", "text", []string{"broken TransferMechanism"}, "read TransferMechanism scc-zurich-2026: "},
		"broken holds":       {"leads-to-zurich", "text", []string{"broken RegulatoryHold"}, "read RegulatoryHolds: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, err := explained(t, reading(t, cluster1(t), c.broken...), c.transfer, c.output)
			if code != exitBadInput || err == nil || !strings.Contains(err.Error(), c.says) || out != "" {
				t.Errorf("exit code %d, %q: %v", code, out, err)
			}
		})
	}
}

func TestExplain_WrongUse(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing":             {nil, "say what to explain: transfer NAME"},
		"another kind":        {[]string{"pod", "x"}, "unknown command"},
		"no name":             {[]string{"transfer"}, "accepts 1 arg"},
		"an unknown flag":     {[]string{"transfer", "x", "--wide"}, "unknown flag"},
		"an empty kubeconfig": {[]string{"transfer", "x", "--kubeconfig", empty}, "read kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, out, errOut := call(t, "", append([]string{"explain"}, c.args...)...); code != exitBadInput || !strings.Contains(errOut, c.says) || out != "" {
				t.Errorf("exit code %d, %q, %q", code, out, errOut)
			}
		})
	}
}
