package explain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
	"github.com/maodian-dev/maodian/internal/domain/reason"
	"github.com/maodian-dev/maodian/internal/domain/transfer"
	"github.com/maodian-dev/maodian/internal/explain"
	"github.com/maodian-dev/maodian/internal/law"
)

func TestRefusals_OneACodeWithArticleAndRemedy(t *testing.T) {
	got := explain.Refusals(law.Named("cn-2026-01"), []transfer.Refusal{
		{Code: reason.ExcessiveCategories, Field: "spec.fields", Message: "field a"},
		{Code: reason.PIAMissing, Field: "spec.impactAssessment"},
		{Code: reason.ExcessiveCategories, Field: "spec.categories", Message: "category b"},
		{Code: reason.ExcessiveCategories, Field: "spec.categories", Message: "category b"},
	})
	want := []residencyv1.Refusal{
		{Code: "ExcessiveCategories", Field: "spec.fields", Message: "field a; category b", Remedy: reason.Lookup(reason.ExcessiveCategories).Remedy},
		{Code: "PIAMissing", Field: "spec.impactAssessment", Message: "no impact assessment", Remedy: reason.Lookup(reason.PIAMissing).Remedy},
	}
	for i := range got {
		if len(got[i].Cites) == 0 {
			t.Errorf("%s cites nothing", got[i].Code)
		}
		got[i].Cites = nil
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRefusals_FitTheSchema(t *testing.T) {
	var many []transfer.Refusal
	for i := range 40 {
		many = append(many, transfer.Refusal{Code: reason.ExcessiveCategories, Message: strings.Repeat("类", i+1)})
	}
	if got := explain.Refusals(nil, many); len(got) != 1 || len(got[0].Message) > 512 || len(got[0].Message) < 500 {
		t.Errorf("%d refusals, message of %d bytes", len(got), len(got[0].Message))
	}
}
