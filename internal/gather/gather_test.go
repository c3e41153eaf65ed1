package gather_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	marketingv1 "github.com/maodian-dev/maodian/api/marketing/v1alpha1"
	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/notice"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/gather"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// sample reads the object of a kind from a sample.
func sample[T any](t *testing.T, file, kind string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "samples", file+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split("\n"+string(text), "\n---") {
		var head metav1.TypeMeta
		var o T
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		if head.Kind != kind {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	t.Fatalf("no %s in %s", kind, file)
	panic("unreachable")
}

func input(t *testing.T) gather.BundleInput {
	policy, told := sample[residencyv1.ResidencyPolicy](t, "00-policy", "ResidencyPolicy"), sample[residencyv1.PrivacyNotice](t, "10-notice", "PrivacyNotice")
	told.Status.PublishedRevision, told.Status.PublishedHash = told.Spec.Revision, gather.NoticeVersion(told.Spec).Hash
	return gather.BundleInput{
		Now: now, Policy: &policy, Notice: &told,
		Holds:      []residencyv1.RegulatoryHold{sample[residencyv1.RegulatoryHold](t, "70-hold", "RegulatoryHold")},
		Mechanisms: []residencyv1.TransferMechanism{sample[residencyv1.TransferMechanism](t, "61-transfer-allowed", "TransferMechanism")},
		LeadModels: []marketingv1.LeadModel{sample[marketingv1.LeadModel](t, "40-leads", "LeadModel")},
		SendHolds:  []marketingv1.SendHold{sample[marketingv1.SendHold](t, "51-sendhold", "SendHold")},
	}
}

func TestTheSamplesMakeThisBundle(t *testing.T) {
	raw, err := protojson.Marshal(gather.Bundle(input(t)))
	if err != nil {
		t.Fatal(err)
	}
	var generic any // protojson varies its spaces on purpose
	if err := json.Unmarshal(raw, &generic); err != nil {
		t.Fatal(err)
	}
	got, err := yaml.Marshal(generic)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "bundle.yaml")
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs (UPDATE_GOLDEN=1 rewrites it):\n%s", file, d)
	}
}

func TestABundleDoesNotDependOnOrder(t *testing.T) {
	a, b := input(t), input(t)
	other := a.SendHolds[0]
	other.Name, other.Spec.Campaigns = "another", []string{"b", "a"}
	a.SendHolds, b.SendHolds = append(a.SendHolds, other), []marketingv1.SendHold{other, b.SendHolds[0]}
	b.SendHolds[0].Spec.Campaigns = []string{"a", "b"}
	b.Mechanisms[0].Spec.Scope.Categories = append([]residencyv1.DataCategory(nil), b.Mechanisms[0].Spec.Scope.Categories...)
	c := b.Mechanisms[0].Spec.Scope.Categories
	c[0], c[1] = c[1], c[0]
	if d := cmp.Diff(gather.Bundle(a), gather.Bundle(b), protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

func TestABundleWithoutNoticeHasNone(t *testing.T) {
	in := input(t)
	in.Notice = nil
	if b := gather.Bundle(in); b.GetNotice() != nil {
		t.Errorf("notice = %v", b.GetNotice())
	}
}

// TestTheStoragePlaceByLanguageReachesTheStore, and belongs to the hash; without one the hash
// is that of before.
func TestTheStoragePlaceByLanguageReachesTheStore(t *testing.T) {
	in := input(t)
	before := gather.NoticeVersion(in.Notice.Spec)
	in.Notice.Spec.StoragePlaceText.ZhCN, in.Notice.Spec.StoragePlaceText.En = "中国大陆", "Mainland China"
	named := gather.NoticeVersion(in.Notice.Spec)
	if named.Hash == before.Hash {
		t.Error("the words are not in the hash")
	}
	in.Notice.Status.PublishedHash = named.Hash
	want := map[string]string{"zh-CN": "中国大陆", "en": "Mainland China"}
	if d := cmp.Diff(want, gather.Bundle(in).GetNotice().GetStoragePlaceText()); d != "" {
		t.Error(d)
	}
}

func TestWhileARevisionIsNotPublishedTheStoreKeepsTheFormerText(t *testing.T) {
	in := input(t)
	former := in.Notice.Status.PublishedHash
	in.Notice.Spec.Revision, in.Notice.Spec.StoragePlace = 4, "  "
	want := &storev1.Notice{Name: "brand-notice", Revision: 3, ContentHash: former, TextKept: true}
	if d := cmp.Diff(want, gather.Bundle(in).GetNotice(), protocmp.Transform()); d != "" {
		t.Error(d)
	}
	in.Notice.Status = residencyv1.PrivacyNoticeStatus{}
	if b := gather.Bundle(in); b.GetNotice() != nil {
		t.Errorf("a notice that was never published is %v", b.GetNotice())
	}
}

func TestTheSampleIsCompleteWithStandardTexts(t *testing.T) {
	items := notice.Missing(notice.Facts{Notice: gather.Notice(input(t).Notice.Spec), Guardian: true})
	var paths []string
	for _, i := range items {
		paths = append(paths, i.Path)
	}
	want := []string{"method", "recipients[0].method", "safeguards", "complaints", "automatedDecision"}
	if d := cmp.Diff(want, paths); d != "" || len(notice.Refusals(items)) > 0 {
		t.Errorf("%s, refusals %v", d, notice.Refusals(items))
	}
}

// TestTheStandardTextsAreInTheDocs: people who write a notice read there what is said for them.
func TestTheStandardTextsAreInTheDocs(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "spec", "privacynotice.md"))
	if err != nil {
		t.Fatal(err)
	}
	n := gather.Notice(input(t).Notice.Spec).Complete()
	for _, text := range []notice.Text{n.Method, n.Safeguards, n.AutomatedDecision, n.Complaints, n.Recipients[0].Method} {
		for lang, words := range text {
			if !strings.Contains(string(page), words) {
				t.Errorf("%s is missing: %s", lang, words)
			}
		}
	}
}

func facts(t *testing.T, change func(*gather.TransferInput)) transfer.Decision {
	t.Helper()
	in := input(t)
	x := sample[residencyv1.DataTransfer](t, "61-transfer-allowed", "DataTransfer")
	f := gather.TransferInput{Now: now, Transfer: &x, Policy: in.Policy, Notice: in.Notice, Mechanism: &in.Mechanisms[0],
		Store: &storev1.GetTransferFactsResponse{Year: 2026, NonSensitiveAtMost: 19, AnyoneConsents: true}}
	if change != nil {
		change(&f)
	}
	return transfer.Decide(gather.TransferFacts(f))
}

func TestFactsCarryWhatTheDecisionLooksAt(t *testing.T) {
	if d := facts(t, nil); !d.Allowed() {
		t.Fatalf("the sample that is allowed is refused: %+v", d.Refusals)
	}
	holds := input(t).Holds
	for name, c := range map[string]struct {
		change func(*gather.TransferInput)
		want   reason.Code
	}{
		"no policy":              {func(f *gather.TransferInput) { f.Policy = nil }, reason.PolicyMissing},
		"an unknown CIIO status": {func(f *gather.TransferInput) { f.Policy.Spec.Processor.CIIOStatus = residencyv1.CIIOUnknown }, reason.CIIOStatusUnknown},
		"no notice":              {func(f *gather.TransferInput) { f.Notice = nil }, reason.NoticeNotPublished},
		"another country":        {func(f *gather.TransferInput) { f.Transfer.Spec.Recipient.Country = "DE" }, reason.RecipientUnidentified},
		"no necessity":           {func(f *gather.TransferInput) { f.Transfer.Spec.Necessity = "" }, reason.NecessityNotShown},
		"no destination":         {func(f *gather.TransferInput) { f.Transfer.Spec.Destination.S3.Endpoint = "" }, reason.DestinationUnknown},
		"no assessment":          {func(f *gather.TransferInput) { f.Transfer.Spec.ImpactAssessment.Reference = "" }, reason.PIAMissing},
		"a bad assessment": {func(f *gather.TransferInput) {
			f.Transfer.Spec.ImpactAssessment.Outcome = residencyv1.AssessmentUnacceptable
		}, reason.ConflictsWithSubjectInterests},
		"a mechanism too small":  {func(f *gather.TransferInput) { f.Mechanism.Spec.Scope.MaxPersons = 1 }, reason.MechanismScopeExceeded},
		"an unfiled contract":    {func(f *gather.TransferInput) { f.Mechanism.Spec.FiledTime = metav1.Time{} }, reason.StandardContractNotFiled},
		"a store that is silent": {func(f *gather.TransferInput) { f.Store = nil }, reason.CounterUnavailable},
		"nobody consents":        {func(f *gather.TransferInput) { f.Store.AnyoneConsents = false }, reason.ConsentMissing},
		"a hold":                 {func(f *gather.TransferInput) { f.Holds = holds }, reason.PublicSecurityHold},
		"too many for no mechanism": {func(f *gather.TransferInput) {
			f.Mechanism, f.Transfer.Spec.MaxPersons = nil, 100_000
		}, reason.MechanismMissing},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range facts(t, c.change).Refusals {
				if r.Code == c.want {
					return
				}
			}
			t.Errorf("not refused by %s", c.want)
		})
	}
}

func TestADeclaredTransferKeepsTheOrderOfItsFields(t *testing.T) {
	x := sample[residencyv1.DataTransfer](t, "61-transfer-allowed", "DataTransfer")
	x.UID = "0f0e"
	x.Spec.Fields = []residencyv1.FieldName{"tags", "id"}
	got := gather.TransferSpec(&x, "brand-leads")
	if d := cmp.Diff([]string{"tags", "id"}, got.GetFields()); d != "" || got.GetTransferId() != "0f0e" || got.GetLeadModel() != "brand-leads" || got.GetMechanism() != "scc-zurich-2026" {
		t.Errorf("spec = %v %s", got, d)
	}
}

// Without it, a pod of ours would wait for ever before Kubernetes 1.36.
func TestOurPodsTolerateTheTaintOfKeptNodes(t *testing.T) {
	for sharing, want := range map[residencyv1.Sharing]string{
		"": "", residencyv1.SharingShared: "", residencyv1.SharingExclusive: "residency.maodian.dev/cn-mainland",
	} {
		p := &residencyv1.ResidencyPolicy{Spec: residencyv1.ResidencyPolicySpec{Jurisdiction: "cn-mainland", Nodes: residencyv1.PolicyNodes{Sharing: sharing}}}
		if got := gather.Placement(p).Taint; got != want {
			t.Errorf("%q: taint = %q, want %q", sharing, got, want)
		}
	}
}
