package officer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/storeclient"
)

const canary = "oCANARYcanaryCANARYcanary0001"

// fakeDesk answers as a store, and notes what it was asked.
type fakeDesk struct {
	asked   []proto.Message
	unquiet bool
	err     error
}

func (f *fakeDesk) ListRequests(_ context.Context, r *storev1.ListRequestsRequest) (*storev1.ListRequestsResponse, error) {
	f.asked = append(f.asked, r)
	return &storev1.ListRequestsResponse{Requests: []*storev1.OpenRequest{{Reference: "abc", Account: "brand", Request: &storev1.RequestEntry{Kind: "Explanation"}}}}, f.err
}

func (f *fakeDesk) AnswerRequest(_ context.Context, r *storev1.AnswerRequestRequest) (*storev1.AnswerRequestResponse, error) {
	f.asked = append(f.asked, r)
	return &storev1.AnswerRequestResponse{}, f.err
}

func (f *fakeDesk) FetchRecord(_ context.Context, r *storev1.FetchRecordRequest) (*storev1.FetchRecordResponse, error) {
	f.asked = append(f.asked, r)
	return &storev1.FetchRecordResponse{Record: &storev1.Record{Known: true, Tags: []string{"tea"}}}, f.err
}

func (f *fakeDesk) RemovePerson(_ context.Context, r *storev1.RemovePersonRequest) (*storev1.RemovePersonResponse, error) {
	f.asked = append(f.asked, r)
	return &storev1.RemovePersonResponse{Found: true, Acknowledged: !f.unquiet}, f.err
}

func (f *fakeDesk) ImportPeople(_ context.Context, r *storev1.ImportPeopleRequest) (*storev1.ImportPeopleResponse, error) {
	f.asked = append(f.asked, proto.CloneOf(r))
	return &storev1.ImportPeopleResponse{People: int64(len(r.GetPeople())), Unproved: 1}, f.err
}

func (f *fakeDesk) ListRecipientDuties(_ context.Context, r *storev1.ListRecipientDutiesRequest) (*storev1.ListRecipientDutiesResponse, error) {
	f.asked = append(f.asked, r)
	return &storev1.ListRecipientDutiesResponse{Recipients: []*storev1.RecipientDuties{{Recipient: "crm", Open: 7}}}, f.err
}

func (f *fakeDesk) TellRecipient(_ context.Context, r *storev1.TellRecipientRequest) (*storev1.TellRecipientResponse, error) {
	f.asked = append(f.asked, r)
	since := timestamppb.New(time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC))
	return &storev1.TellRecipientResponse{Notifications: []*storev1.Notification{{Id: "r-1", Kind: "Withdrawn", Since: since}, {Id: "r-2", Kind: "Erased", Since: since}}}, f.err
}

func (f *fakeDesk) AcknowledgeLetter(_ context.Context, r *storev1.AcknowledgeLetterRequest) (*storev1.AcknowledgeLetterResponse, error) {
	f.asked = append(f.asked, r)
	return &storev1.AcknowledgeLetterResponse{People: 2}, f.err
}

// TestTell_LeavesNoFileBehindWhatFailed: and asks nothing where the file cannot be written.
func TestTell_LeavesNoFileBehindWhatFailed(t *testing.T) {
	out := filepath.Join(t.TempDir(), "letter.jsonl")
	task := Task{Do: "tell", Recipient: "crm", Reference: "L-1", Out: out}
	if err := task.do(t.Context(), &storeclient.Client{Officer: &fakeDesk{err: errors.New("away")}}); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file is there: %v", err)
	}
	if err := os.WriteFile(out, []byte("another letter"), 0o600); err != nil {
		t.Fatal(err)
	}
	desk := &fakeDesk{}
	if err := task.do(t.Context(), &storeclient.Client{Officer: desk}); err == nil || len(desk.asked) != 0 {
		t.Errorf("%v, asked %d times", err, len(desk.asked))
	}
	if raw, err := os.ReadFile(out); err != nil || string(raw) != "another letter" {
		t.Errorf("%q, %v", raw, err)
	}
}

func TestTasks(t *testing.T) {
	dir := t.TempDir()
	who, out := filepath.Join(dir, "openid"), filepath.Join(dir, "out.json")
	if err := os.WriteFile(who, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		task  Task
		want  proto.Message
		wrote string
	}{
		"requests":              {Task{Do: "requests", Out: out}, &storev1.ListRequestsRequest{}, `"abc"`},
		"access by a reference": {Task{Do: "access", Reference: "abc", Out: out}, &storev1.FetchRecordRequest{Reference: "abc"}, `"tea"`},
		"access by an openid":   {Task{Do: "access", Account: "brand", OpenIDFile: who, Out: out}, &storev1.FetchRecordRequest{Account: "brand", OpenId: canary}, `"tea"`},
		"an answer":             {Task{Do: "answer", Reference: "abc", Outcome: "Refused"}, &storev1.AnswerRequestRequest{Reference: "abc", Outcome: "Refused"}, ""},
		"recipients":            {Task{Do: "recipients", Out: out}, &storev1.ListRecipientDutiesRequest{}, `"crm"`},
		"a letter": {Task{Do: "tell", Recipient: "crm", Reference: "L-1", Out: out}, &storev1.TellRecipientRequest{Recipient: "crm", Reference: "L-1"},
			`{"id":"r-1","kind":"Withdrawn","since":"2026-11-24T04:00:00Z"}` + "\n" + `{"id":"r-2","kind":"Erased","since":"2026-11-24T04:00:00Z"}` + "\n"},
		"an answer to a letter": {Task{Do: "acknowledge", Recipient: "crm", Reference: "L-1", Answer: "A-1"}, &storev1.AcknowledgeLetterRequest{Recipient: "crm", Letter: "L-1", Reference: "A-1"}, ""},
		"an erasure":            {Task{Do: "erase", Account: "brand", OpenIDFile: who}, &storev1.RemovePersonRequest{Account: "brand", OpenId: canary}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_ = os.Remove(out)
			desk := &fakeDesk{}
			if err := errors.Join(c.task.validate(), c.task.do(t.Context(), &storeclient.Client{Officer: desk})); err != nil {
				t.Fatal(err)
			}
			if len(desk.asked) != 1 || !proto.Equal(desk.asked[0], c.want) {
				t.Error("the store was asked something else")
			}
			raw, err := os.ReadFile(out)
			if (c.wrote == "") != errors.Is(err, os.ErrNotExist) || !strings.Contains(string(raw), c.wrote) {
				t.Errorf("wrote %q, %v", raw, err)
			}
			if info, err := os.Stat(out); err == nil && info.Mode().Perm() != 0o600 {
				t.Errorf("readable by others: %v", info.Mode())
			}
		})
	}
}

func TestTasks_Refused(t *testing.T) {
	for name, task := range map[string]Task{
		"nothing":                       {},
		"something unknown":             {Do: "everything"},
		"a list to the screen":          {Do: "requests"},
		"a record to the screen":        {Do: "access", Reference: "abc"},
		"a record of two":               {Do: "access", Reference: "abc", Account: "brand", OpenIDFile: "x", Out: "y"},
		"a record of nobody":            {Do: "access", Out: "y"},
		"an answer to nothing":          {Do: "answer", Outcome: "Done"},
		"an answer that is none":        {Do: "answer", Reference: "abc", Outcome: "Moot"},
		"an erasure of nobody":          {Do: "erase", Account: "brand"},
		"an erasure without an account": {Do: "erase", OpenIDFile: "x"},
	} {
		if err := task.validate(); !errors.Is(err, ErrTask) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTasks_DoNotPretend(t *testing.T) {
	dir := t.TempDir()
	who, there := filepath.Join(dir, "openid"), filepath.Join(dir, "there")
	if err := errors.Join(os.WriteFile(who, []byte(canary), 0o600), os.WriteFile(there, []byte("kept"), 0o600)); err != nil {
		t.Fatal(err)
	}
	erase := Task{Do: "erase", Account: "brand", OpenIDFile: who}
	if err := erase.do(t.Context(), &storeclient.Client{Officer: &fakeDesk{unquiet: true}}); !errors.Is(err, ErrNotQuiet) {
		t.Errorf("a message on its way: %v", err)
	}
	away := errors.New("away")
	if err := erase.do(t.Context(), &storeclient.Client{Officer: &fakeDesk{err: away}}); !errors.Is(err, away) || strings.Contains(err.Error(), canary) {
		t.Errorf("the store is away: %v", err)
	}
	if err := (Task{Do: "requests", Out: there}).do(t.Context(), &storeclient.Client{Officer: &fakeDesk{}}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file that is there: %v", err)
	}
}
