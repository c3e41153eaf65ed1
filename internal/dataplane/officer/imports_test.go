package officer

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

func imported(t *testing.T, desk *fakeDesk, text string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	task := Task{Do: "import", Account: "brand", File: filepath.Join(dir, "people.jsonl"), Out: filepath.Join(dir, "out.json")}
	if err := os.WriteFile(task.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(task.validate(), task.do(t.Context(), &storeclient.Client{Officer: desk})); err != nil {
		return "", err
	}
	raw, err := os.ReadFile(task.Out)
	return string(raw), err
}

func TestImport_GoesInBatches(t *testing.T) {
	var text strings.Builder
	for i := range 501 {
		text.WriteString(`{"openid":"oPERSON` + strconv.Itoa(1000+i) + `","following":true,"consents":[{"purpose":"DirectMarketing","noticeRevision":3,"collectedAt":"2026-09-01T00:00:00Z","evidence":"form 12"}]}` + "\n\n")
	}
	desk := &fakeDesk{}
	out, err := imported(t, desk, text.String())
	if err != nil || len(desk.asked) != 2 || !strings.Contains(out, `"501"`) || !strings.Contains(out, `"unproved": "2"`) {
		t.Fatalf("%d calls, %s, %v", len(desk.asked), out, err)
	}
	first, _ := desk.asked[0].(*storev1.ImportPeopleRequest)
	if c := first.GetPeople()[0].GetConsents()[0]; c.GetEvidence() != "form 12" || c.GetCollectedAt().GetSeconds() == 0 || !first.GetPeople()[0].GetFollowing() {
		t.Errorf("sent %v", c)
	}
}

func TestImport_SaysTheLineAndNotWhatIsInIt(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":            canary,
		"an unknown field":   `{"openid":"` + canary + `","name":"Wang"}`,
		"two objects":        `{"openid":"` + canary + `"} {}`,
		"nobody":             `{"following":true}`,
		"a copied document":  `{"openid":"` + canary + `","consents":[{"evidence":"` + strings.Repeat("x", 201) + `"}]}`,
		"a line without end": strings.Repeat("x", longestLine+1),
	} {
		t.Run(name, func(t *testing.T) {
			desk := &fakeDesk{}
			_, err := imported(t, desk, `{"openid":"oFIRST"}`+"\n"+line+"\n")
			if !errors.Is(err, ErrTask) || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), canary) || len(desk.asked) > 0 {
				t.Errorf("%v, %d calls", err, len(desk.asked))
			}
		})
	}
}

// FuzzReadRow: whatever stands in a line, it is read or refused, and never repeated.
func FuzzReadRow(f *testing.F) {
	f.Add([]byte(`{"openid":"o1","following":true,"consents":[{"purpose":"P","collectedAt":"2026-09-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"openid":7}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, err := readRow(line)
		if (err == nil) != (p.GetOpenId() != "") {
			t.Errorf("%v, %v", p == nil, err)
		}
		if err != nil && len(line) > 20 && strings.Contains(err.Error(), string(line)) {
			t.Error("the error repeats the line")
		}
	})
}
