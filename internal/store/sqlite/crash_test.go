package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/maodian-dev/maodian/internal/ledger"
	"github.com/maodian-dev/maodian/internal/store"
	"github.com/maodian-dev/maodian/internal/store/seal"
	"github.com/maodian-dev/maodian/internal/store/sqlite"
	"github.com/maodian-dev/maodian/internal/store/storetest"
)

// Environment of the child that is killed: its folder, the first number to write, and whether
// it exports.
const (
	crashDir   = "MAODIAN_CRASH_DIR"
	crashFrom  = "MAODIAN_CRASH_FROM"
	crashParts = "MAODIAN_CRASH_PARTS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		work := scribble
		if os.Getenv(crashParts) != "" {
			work = exportParts
		}
		fmt.Println("end", work(dir, os.Getenv(crashFrom)))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// numbered is an event that leaves an entry in the log.
func numbered(n uint64, at *storetest.Clock) store.Event {
	dedupe := make([]byte, 32)
	binary.BigEndian.PutUint64(dedupe, n)
	return store.Event{
		Account: storetest.Account, Dedupe: dedupe, Kind: "subscribe_msg_popup_event", Who: storetest.OpenID(fmt.Sprint(n % 7)), At: at.Now(),
		Subscriptions: []store.SubscriptionAnswer{{TemplateID: storetest.Template, Accepted: true}},
	}
}

// scribble writes until it is killed, four at a time, and says what was acknowledged.
func scribble(dir, from string) error {
	first, err := strconv.ParseUint(from, 10, 64)
	if err != nil {
		return err
	}
	clock := storetest.NewClock()
	l, err := openChild(dir, clock)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range uint64(4) {
		go func() { failed <- scribbleOn(l, clock, first+worker) }()
	}
	return <-failed
}

// openChild opens the ledger of a child, with a fresh view.
func openChild(dir string, clock *storetest.Clock) (store.Ledger, error) {
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		return nil, err
	}
	l, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir, LedgerID: storetest.LedgerID, Create: true, Ring: ring, Clock: clock.Now})
	if err != nil {
		return nil, err
	}
	_, err = l.PutView(context.Background(), storetest.LedgerID, storetest.View(clock.Now()))
	return l, err
}

var out sync.Mutex

func say(format string, args ...any) {
	out.Lock()
	defer out.Unlock()
	fmt.Printf(format+"\n", args...)
}

func scribbleOn(l store.Ledger, clock *storetest.Clock, n uint64) error {
	for ; ; n += 4 {
		if _, err := l.RecordEvent(context.Background(), numbered(n, clock)); err != nil {
			return err
		}
		say("ack %d", n)
		if n%5 != 0 {
			continue
		}
		signed, err := l.Checkpoint(context.Background())
		if err != nil {
			return err
		}
		say("head %s", base64.StdEncoding.EncodeToString([]byte(signed)))
	}
}

// witness is what the outside world knows of a ledger.
type witness struct {
	acks  []uint64
	heads []string
}

// kill starts a child, lets it acknowledge so many writes, and kills it.
func (w *witness) kill(t *testing.T, dir string, after int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from := uint64(1)
	if len(w.acks) > 0 {
		from = slices.Max(w.acks) + 100 // beyond what may be on disk and was not acknowledged
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashFrom+"="+fmt.Sprint(from))
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, seen := bufio.NewScanner(pipe), 0
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "ack":
			n, err := strconv.ParseUint(rest, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			w.acks = append(w.acks, n)
			if seen++; seen == after {
				_ = cmd.Process.Kill() // what was said before it died is still read
			}
		case "head":
			signed, err := base64.StdEncoding.DecodeString(rest)
			if err != nil {
				break // torn: it died while it spoke
			}
			w.heads = append(w.heads, string(signed))
		default:
			t.Errorf("the child says: %s", lines.Text())
		}
	}
	_ = cmd.Wait() // it was killed
}

// TestCrash kills a store between any two of its writes, again and again: nothing that was
// acknowledged is lost, and the history continues every checkpoint that was given out.
func TestCrash_LosesNothingThatWasAcknowledged(t *testing.T) {
	dir, src := t.TempDir(), rand.New(rand.NewPCG(11, 26))
	var w witness
	for round := range 6 {
		w.kill(t, dir, 1+src.IntN(60))
		clock := storetest.NewClock()
		l, err := open(t, dir, clock, round == 0)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, err := l.Verify(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for _, n := range w.acks {
			if r, err := l.RecordEvent(t.Context(), numbered(n, clock)); err != nil || !r.Duplicate {
				t.Fatalf("round %d: event %d was acknowledged, and is not there (%v)", round, n, err)
			}
		}
		world := &storetest.World{T: t, Ledger: l, Clock: clock}
		key := world.Verifier() // signs the present head, too
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := audit(t, dir, key, w.heads); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if len(w.acks) < 6 || len(w.heads) == 0 {
		t.Errorf("the child said too little: %d writes, %d checkpoints", len(w.acks), len(w.heads))
	}
}

func audit(t *testing.T, dir string, key *ledger.Verifier, published []string) error {
	t.Helper()
	var pack bytes.Buffer
	if _, err := sqlite.ExportPack(t.Context(), dir, sqlite.NoBodies, &pack, nil); err != nil {
		return err
	}
	_, err := ledger.VerifyPack(&pack, key, published, nil)
	return err
}

// TestTornTail cuts the write-ahead log of a killed store anywhere, as a disk that lied about
// its sync would. What is missing then is never passed off as a whole history.
func TestTornTail_IsNeverTakenForTheWholeHistory(t *testing.T) {
	dir, src := t.TempDir(), rand.New(rand.NewPCG(5, 8))
	var w witness
	w.kill(t, dir, 40)
	if len(w.heads) == 0 {
		t.Fatal("no checkpoint")
	}
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize), seal.AES256GCM)
	if err != nil {
		t.Fatal(err)
	}
	origin := ledger.Origin(storetest.LedgerID)
	signer, err := ledger.NewSigner(origin, ring.SigningSeed(origin))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ledger.NewVerifier(signer.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	most := uint64(0)
	for _, h := range w.heads {
		c, err := key.Open(h)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, c.Size)
	}
	short := 0
	for range 12 {
		torn := t.TempDir()
		cut(t, dir, torn, src)
		l, err := open(t, torn, storetest.NewClock(), false)
		if err != nil {
			continue // found at once
		}
		v, err := l.Verify(t.Context())
		if err != nil {
			t.Errorf("what is left of the log does not verify: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		err = audit(t, torn, key, w.heads)
		if uint64(v.Size) < most {
			short++
			if err == nil {
				t.Errorf("%d entries of %d that were signed, and the audit passes", v.Size, most)
			}
		}
	}
	if short == 0 {
		t.Error("no cut lost anything: this test shows nothing")
	}
}

// cut copies a ledger and cuts its write-ahead log somewhere.
func cut(t *testing.T, from, to string, src *rand.Rand) {
	t.Helper()
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "-wal") {
			b = b[:src.IntN(len(b)+1)]
		}
		if err := os.WriteFile(filepath.Join(to, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
