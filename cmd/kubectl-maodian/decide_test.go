package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	residencyv1 "github.com/maodian-dev/maodian/api/residency/v1alpha1"
)

const samples = "../../config/samples/"

func write(t *testing.T, body string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func facts(t *testing.T, consenting string) string {
	t.Helper()
	return write(t, "now: \"2026-11-26T08:00:00Z\"\nstores:\n- {name: brand-cn/brand-store, year: {}, consenting: "+consenting+"}\n")
}

// decided runs the command and returns the codes of each transfer.
func decided(t *testing.T, args ...string) (exit int, codes map[string][]string, text string) {
	t.Helper()
	var out, errOut bytes.Buffer
	exit = run(t.Context(), append([]string{"decide", "-o", "json"}, args...), strings.NewReader(""), &out, &errOut)
	var answer struct{ Transfers []verdict }
	codes = map[string][]string{}
	if exit != exitError {
		if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
	}
	for _, v := range answer.Transfers {
		codes[v.Transfer] = nil
		for _, r := range v.Refusals {
			codes[v.Transfer] = append(codes[v.Transfer], r.Code)
			if len(r.Articles) == 0 || r.Message == "" || r.Remedy == "" {
				t.Errorf("%s does not explain itself: %+v", r.Code, r)
			}
		}
	}
	return exit, codes, errOut.String()
}

func papers(more ...string) []string {
	args := []string{}
	for _, f := range append([]string{"00-policy", "10-notice", "20-store"}, more...) {
		args = append(args, "-f", samples+f+".yaml")
	}
	return args
}

func TestDecide_Samples(t *testing.T) {
	const blocked, allowed = "brand-cn/leads-to-zurich", "brand-cn/leads-to-zurich-q4"
	for name, c := range map[string]struct {
		files      []string
		consenting string
		exit       int
		transfer   string
		codes      []string
	}{
		"nobody agreed, no assessment": {[]string{"60-transfer-blocked"}, "0", exitFailed, blocked, []string{"PIAMissing", "ConsentMissing"}},
		"with its papers":              {[]string{"61-transfer-allowed"}, "500", exitOK, allowed, nil},
		"with its papers and an order": {[]string{"61-transfer-allowed", "70-hold"}, "500", exitFailed, allowed, []string{"PublicSecurityHold"}},
		"one of two is refused":        {[]string{"60-transfer-blocked", "61-transfer-allowed"}, "500", exitFailed, blocked, []string{"PIAMissing"}},
	} {
		t.Run(name, func(t *testing.T) {
			exit, codes, text := decided(t, append(papers(c.files...), "--facts", facts(t, c.consenting))...)
			if exit != c.exit || !slices.Equal(codes[c.transfer], c.codes) {
				t.Errorf("exit %d, %v %s", exit, codes, text)
			}
		})
	}
}

func TestDecide_WhatIsNotKnownIsRefused(t *testing.T) {
	exit, codes, _ := decided(t, papers("61-transfer-allowed")...)
	if exit != exitFailed || !slices.Equal(codes["brand-cn/leads-to-zurich-q4"], []string{"CounterUnavailable"}) {
		t.Errorf("without facts: %d %v", exit, codes)
	}
	exit, codes, _ = decided(t, "-f", samples+"61-transfer-allowed.yaml", "--facts", facts(t, "5"))
	if exit != exitFailed || !slices.Equal(codes["brand-cn/leads-to-zurich-q4"], []string{"PolicyMissing"}) {
		t.Errorf("without a policy: %d %v", exit, codes)
	}
}

func TestDecide_BadInput(t *testing.T) {
	broken := write(t, "apiVersion: residency.maodian.dev/v1alpha1\nkind: DataTransfer\nmetadata: {name: x}\nspec: {purposse: GroupReporting}\n")
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"nothing to read":          {nil, "FilesMissing"},
		"a file that there is not": {[]string{"-f", "none.yaml"}, "FileUnreadable"},
		"no transfer":              {papers(), "NoTransfer"},
		"a misspelt field":         {[]string{"-f", broken}, `document 1: strict decoding error: unknown field "spec.purposse"`},
		"misspelt facts":           {append(papers("61-transfer-allowed"), "--facts", write(t, "nwo: x")), "FactsInvalid"},
		"another format":           {append(papers("61-transfer-allowed"), "-o", "xml"), "OutputInvalid"},
	} {
		if exit, _, text := decided(t, c.args...); exit != exitError || !strings.Contains(text, c.says) {
			t.Errorf("%s: exit %d, %s", name, exit, text)
		}
	}
}

// TestDecide_PrintedFactsAreFacts: what --print-facts writes is read again.
func TestDecide_PrintedFactsAreFacts(t *testing.T) {
	var out, errOut bytes.Buffer
	if exit := run(t.Context(), []string{"decide", "--print-facts"}, strings.NewReader(""), &out, &errOut); exit != exitOK {
		t.Fatal(errOut.String())
	}
	exit, codes, text := decided(t, append(papers("61-transfer-allowed"), "--facts", write(t, out.String()))...)
	if exit != exitOK {
		t.Errorf("%v %s", codes, text)
	}
}

func TestDecide_Text(t *testing.T) {
	var out, errOut bytes.Buffer
	run(t.Context(), append(append([]string{"decide"}, papers("60-transfer-blocked")...), "--facts", facts(t, "0")), strings.NewReader(""), &out, &errOut)
	for _, want := range []string{"Refused  brand-cn/leads-to-zurich", "PIAMissing [PIPL 55, PIPL 56]", "at      spec.impactAssessment", "passes  complete one", "rules cn-2026-01"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

func TestAsDecided_ARefusalOfTheClusterStands(t *testing.T) {
	x := &residencyv1.DataTransfer{}
	x.Status.Decision = residencyv1.DecisionRefused
	x.Status.Refusals = []residencyv1.Refusal{{Code: "ConsentMissing", Cites: []string{"PIPL 13"}}}
	v := verdict{Decision: "Allowed"}.asDecided(x, []string{"RegulatoryHolds"})
	if !v.refused() || len(v.Refusals) != 1 || !strings.Contains(v.Status, "may not read RegulatoryHolds") {
		t.Errorf("%+v", v)
	}
}

func FuzzReadManifests(f *testing.F) {
	for _, s := range []string{"", "---\n---\n", "kind: DataTransfer", "a: [", "apiVersion: residency.maodian.dev/v1alpha1\nkind: RegulatoryHold\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		m, err := readManifests([]string{"-"}, strings.NewReader(body))
		if err != nil {
			return
		}
		for _, x := range m.transfers {
			newVerdict(x.Name, m.facts(x, knownFacts{}))
		}
	})
}
