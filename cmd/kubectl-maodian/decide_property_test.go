package main

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	metav1alpha1 "github.com/maodian-dev/maodian/api/meta/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
	"github.com/maodian-dev/maodian/internal/manifest"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

// one is the first mostly, and any of them now and then.
func one[T any](r *rand.Rand, of ...T) T {
	if r.IntN(8) > 0 {
		return of[0]
	}
	return of[r.IntN(len(of))]
}

func some[T any](r *rand.Rand, of ...T) (out []T) {
	all := r.IntN(4) > 0
	for _, x := range of {
		if all || r.IntN(2) > 0 {
			out = append(out, x)
		}
	}
	return out
}

// world is a repository by chance: in order, and then wrong in some places.
type world struct {
	in      gather.TransferInput
	store   residencyv1.ConsentStore
	numbers manifest.Numbers
}

func anyWorld(r *rand.Rand, samples *manifest.Set) world {
	now := time.Date(2026, time.Month(1+r.IntN(12)), 1+r.IntN(28), r.IntN(24), 0, 0, 0, time.UTC)
	day := func(n int) metav1.Time { return metav1.NewTime(now.AddDate(0, 0, n)) }
	categories := []residencyv1.DataCategory{"PseudonymousID", "InterestTag", "Health", "AnonymousAggregate"}
	policy := samples.Policies[0].DeepCopy()
	policy.TypeMeta, policy.ObjectMeta = metav1.TypeMeta{}, metav1.ObjectMeta{Name: "p"}
	policy.Spec.RulePack = one(r, "cn-2026-01", "cn-2022-09", "cn-1999-01")
	policy.Spec.Processor.Name, policy.Spec.Processor.CIIOStatus, policy.Spec.Processor.City = "acme", one[residencyv1.CIIOStatus](r, "No", "Yes", "Unknown"), one(r, "", "shenzhen")
	n := &residencyv1.PrivacyNotice{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "notice"}}
	text := metav1alpha1.LocalizedText{ZhCN: "文", En: "text"}
	n.Spec = residencyv1.PrivacyNoticeSpec{
		Revision: 3, Processor: residencyv1.NoticeProcessor{Name: "Acme", Contact: "privacy@acme.example"}, RetentionDays: 30, StoragePlace: "Mainland", Rights: text, Refusal: text,
		Purposes: []residencyv1.NoticePurpose{{Name: "GroupReporting", Description: text, Categories: categories[:2]}},
		Recipients: []residencyv1.NoticeRecipient{{
			Name: "crm", DisplayName: "CRM", Country: one(r, "DE", "HK"), Contact: "a@crm.example", RightsChannel: "https://crm.example/rights",
			Purposes: []metav1alpha1.Purpose{"GroupReporting"}, Categories: one(r, categories[:2], categories, categories[:1]),
		}},
	}
	t := &residencyv1.DataTransfer{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "t"}}
	t.Spec = residencyv1.DataTransferSpec{
		StoreRef: metav1alpha1.LocalObjectReference{Name: "s"}, Recipient: residencyv1.TransferRecipient{Name: "crm", Role: "Processor", Country: one(r, "DE", "HK"), RetentionDays: one[int32](r, 0, 30)},
		Purpose: "GroupReporting", LegalBasis: one[residencyv1.LegalBasis](r, "Consent", "Contract"), Categories: append(some(r, categories[:2]...), one(r, nil, categories[2:])...),
		Fields: append(some[residencyv1.FieldName](r, "id", "tags"), one(r, nil, []residencyv1.FieldName{"lead.score"})...), Aggregates: one(r, nil, nil, []residencyv1.AggregateName{"LeadsByStage"}), MaxPersons: 1 << r.IntN(18), Necessity: one(r, "x", ""),
		DataStatus: one[residencyv1.DataStatus](r, "", "None", "Core", "NotifiedOrPublished"), VolumeReview: one(r, "", "R-1"),
		ImpactAssessment: residencyv1.ImpactAssessment{Reference: "PIA-1", CompletedTime: day(-r.IntN(380)), ReviewByTime: day(r.IntN(300) - 10), Outcome: one[residencyv1.AssessmentOutcome](r, "Acceptable", "Unacceptable")},
	}
	t.Spec.Destination, t.Spec.Format = samples.Transfers[0].Spec.Destination, "JSONLines"
	w := world{store: samples.Stores[0], in: gather.TransferInput{Now: now, Transfer: t, Policy: policy, Notice: n}}
	if r.IntN(2) == 0 {
		m := &residencyv1.TransferMechanism{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "m"}}
		m.Spec = residencyv1.TransferMechanismSpec{
			Reference: "M-1",
			Type:      one[residencyv1.MechanismType](r, "StandardContract", "SecurityAssessment", "Certification", "GBAStandardContract"), State: one[residencyv1.MechanismState](r, "InForce", "Suspended", "Draft"),
			EffectiveTime: day(-r.IntN(900)), FiledTime: day(-r.IntN(30)),
			Scope: residencyv1.MechanismScope{Recipients: []string{"crm"}, Purposes: []metav1alpha1.Purpose{"GroupReporting"}, Categories: some(r, categories...), MaxPersons: 1 << r.IntN(22)},
		}
		t.Spec.MechanismRef.Name, w.in.Mechanism = "m", m
	}
	if r.IntN(6) == 0 {
		h := samples.Holds[0]
		h.TypeMeta, h.ObjectMeta, h.Spec.Scope = metav1.TypeMeta{}, metav1.ObjectMeta{Name: "h"}, residencyv1.HoldScope{}
		h.Spec.EffectiveTime, h.Spec.Scope.Countries = day(-3), one(r, []string{"DE"}, []string{"HK"}, nil)
		w.in.Holds = []residencyv1.RegulatoryHold{h}
	}
	w.count(r)
	return w
}

// count gives the store numbers, once as it would say them and once as a file does.
func (w *world) count(r *rand.Rand) {
	plain, recentPlain := r.Int64N(1<<r.IntN(21)), r.Int64N(1<<r.IntN(21))
	sensitive, recentSensitive := one(r, 0, r.Int64N(1<<15)), one(r, 0, r.Int64N(3))
	agree, young := one[int64](r, 5, 0), one[int64](r, 0, 1)
	w.in.Store = &storev1.GetTransferFactsResponse{
		NonSensitiveAtMost: plain, SensitiveAtMost: sensitive, RecentNonSensitiveAtMost: recentPlain, RecentSensitiveAtMost: recentSensitive,
		AnyoneConsents: agree > 0, YoungAtMost: young, Excluded: some(r, "ConsentMissing", "ConsentNotSeparate", "ConsentWithdrawn"),
	}
	excluded := map[reason.Code]int64{"ConsentStaleNotice": 0}
	for _, code := range w.in.Store.GetExcluded() {
		excluded[reason.Code(code)] = 1 + r.Int64N(5)
	}
	year := &manifest.Count{NonSensitive: &plain, Sensitive: &sensitive}
	s := manifest.StoreNumbers{Recipients: map[string]manifest.RecipientNumbers{"crm": {
		Consenting: &agree, Young: &young, Excluded: excluded, Recent: &manifest.Count{NonSensitive: &recentPlain, Sensitive: &recentSensitive},
	}}}
	w.numbers.Now = metav1.NewTime(w.in.Now)
	if r.IntN(2) == 0 {
		s.Year = year
	} else {
		w.numbers.Processors = map[string]manifest.ProcessorNumbers{"acme": {Year: year}}
	}
	w.numbers.Stores = map[string]manifest.StoreNumbers{"n/s": s}
}

// write makes the files of a repository.
func (w *world) write(t *testing.T, r *rand.Rand) (dir, facts string) {
	t.Helper()
	dir, facts = t.TempDir(), filepath.Join(t.TempDir(), "facts.yaml")
	store := w.store.DeepCopy()
	store.TypeMeta, store.ObjectMeta = metav1.TypeMeta{}, metav1.ObjectMeta{Namespace: "n", Name: "s"}
	store.Spec.NoticeRef.Name = "notice"
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{metav1alpha1.PolicyLabel: "p"}}}
	kinds := map[string]any{"ConsentStore": store, "DataTransfer": w.in.Transfer, "ResidencyPolicy": w.in.Policy, "PrivacyNotice": w.in.Notice}
	if w.in.Mechanism != nil {
		kinds["TransferMechanism"] = w.in.Mechanism
	}
	if len(w.in.Holds) > 0 {
		kinds["RegulatoryHold"] = w.in.Holds[0]
	}
	if r.IntN(2) == 0 {
		kinds["Namespace"] = ns
	}
	var docs []string
	for kind, o := range kinds {
		raw, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		version := "residency.maodian.dev/v1alpha1"
		if kind == "Namespace" {
			version = "v1"
		}
		docs = append(docs, "apiVersion: "+version+"\nkind: "+kind+"\n"+string(raw))
	}
	numbers, err := yaml.Marshal(w.numbers)
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{filepath.Join(dir, "all.yaml"): strings.Join(docs, "---\n"), facts: string(numbers)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, facts
}

// TestDecide_AnswersAsTheManagerWould: whatever stands in a repository, read from its files
// and from facts that say all, the codes are those of the decision on the objects.
func TestDecide_AnswersAsTheManagerWould(t *testing.T) {
	samples, err := readSet([]string{filepath.Join("..", "..", "config", "samples")}, "", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	seen, valid := map[string]int{}, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		w := anyWorld(r, samples)
		dir, facts := w.write(t, r)
		code, raw, errOut := call(t, "", "decide", "-f", dir, "--facts", facts, "-o", "json")
		if code == exitBadInput && strings.HasPrefix(errOut, "error: InvalidValue") {
			continue // no API server would take it
		}
		var got decisions
		if err := json.Unmarshal([]byte(raw), &got); err != nil || len(got.Transfers) != 1 {
			t.Fatalf("seed %d: exit code %d, %s", seed, code, errOut)
		}
		if missing := notice.Missing(notice.Facts{Notice: gather.Notice(w.in.Notice.Spec), Guardian: true}); len(notice.Refusals(missing)) > 0 {
			w.in.Notice = nil // the manager would not publish it
		}
		d := transfer.Decide(gather.TransferFacts(w.in))
		want := codesOf(d.Public())
		if v := got.Transfers[0]; !slices.Equal(v.Codes(), want) || (code == exitOK) != d.Allowed() || v.Mechanism != d.Mechanism || v.Ground != d.Ground || len(v.Warnings) != len(codesOf(d.Warnings)) {
			t.Fatalf("seed %d: exit code %d, %v, want %v (%s, %s, %v)", seed, code, v.Codes(), want, d.Mechanism, d.Ground, d.Warnings)
		}
		valid++
		for _, c := range want {
			seen[c]++
		}
		if d.Allowed() {
			seen["allowed"]++
		}
	}
	if len(seen) < 20 || valid < 200 || seen["allowed"] < 20 {
		t.Errorf("the test tries too little: %d, %v", valid, seen)
	}
}

func codesOf(in []transfer.Refusal) []string {
	out := []string{}
	for _, r := range in {
		if !slices.Contains(out, string(r.Code)) {
			out = append(out, string(r.Code))
		}
	}
	return out
}
