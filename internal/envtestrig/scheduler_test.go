package envtestrig

import (
	"bytes"
	"strings"
	"testing"
)

func TestScheduler_SaysWhereToGetOne(t *testing.T) {
	t.Setenv(assets, t.TempDir())
	_, err := Scheduler(&Rig{})
	Refused(t, err, "without kube-scheduler: unset it and use `make test`")
}

func TestTail_KeepsTheEnd(t *testing.T) {
	var log tail
	line := strings.Repeat("x", 1023) + "\n"
	for range logKept/len(line) + 9 {
		if n, err := log.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	_, _ = log.Write([]byte("the end"))
	if got := log.kept.Bytes(); len(got) != logKept || !bytes.HasSuffix(got, []byte("\nthe end")) {
		t.Errorf("kept %d bytes that end in %q", len(got), got[len(got)-10:])
	}
}
