package envtestrig

import (
	"strings"
	"testing"
)

func TestScheduler_SaysWhereToGetOne(t *testing.T) {
	t.Setenv(assets, t.TempDir())
	_, err := Scheduler(&Rig{})
	Refused(t, err, "without kube-scheduler: unset it and use `make test`")
}

func TestLastWords_KeepsTheEnd(t *testing.T) {
	var log lastWords
	line := strings.Repeat("x", 1023) + "\n"
	for range enough/len(line) + 9 {
		if n, err := log.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	_, _ = log.Write([]byte("the end"))
	if got := log.String(); len(got) != enough || !strings.HasSuffix(got, "\nthe end") {
		t.Errorf("kept %d bytes that end in %q", len(got), got[len(got)-10:])
	}
}
