package gateway

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
)

func TestShown_IsOnRecordWithoutAnAnswer(t *testing.T) {
	r := newRig(t)
	r.login()
	wantStatus(t, r.do("/consent?lang=en", nil), http.StatusOK)
	want := []*storev1.RecordShownRequest{{Account: "brand", OpenId: canary, NoticeRevision: 3, Language: "en"}}
	if d := cmp.Diff(want, r.intake.shown, protocmp.Transform()); d != "" {
		t.Error(d)
	}
}

func TestShown_AgainWhenTheNoticeChangedUnderTheReader(t *testing.T) {
	r := newRig(t)
	r.login()
	form := r.form("DirectMarketing")
	r.intake.notice.Revision, r.intake.shown = 4, nil
	wantStatus(t, r.do("/consent", form), http.StatusConflict)
	if n := len(r.intake.shown); n != 1 || r.intake.shown[0].GetNoticeRevision() != 4 {
		t.Errorf("on record: %v", r.intake.shown)
	}
}

func TestShown_TheTextThatIsOnRecordIsTheOneShown(t *testing.T) {
	r := newRig(t)
	r.login()
	r.intake.changes = true
	w := r.do("/consent", nil)
	wantStatus(t, w, http.StatusOK)
	if n := len(r.intake.shown); n != 1 || r.intake.shown[0].GetNoticeRevision() != 4 || !strings.Contains(w.Body.String(), `name="revision" value="4"`) {
		t.Errorf("on record: %v", r.intake.shown)
	}
}

func TestShown_ToAGuardianByTheirLink(t *testing.T) {
	r, path := asked(t)
	r.intake.shown = nil
	r.opens(guardianCanary, path)
	if n := len(r.intake.shown); n != 1 || r.intake.shown[0].GetOpenId() != guardianCanary || string(r.intake.shown[0].GetSecret()) != r.intake.links.secret {
		t.Errorf("on record: %v", r.intake.shown)
	}
}

func TestShown_WhatCannotBeNoted(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
	}{
		"the store is away: nothing can be answered either": {errStore, http.StatusServiceUnavailable},
		"the store is too slow":                             {connect.NewError(connect.CodeDeadlineExceeded, errors.New("late")), http.StatusServiceUnavailable},
		"a failing write does not hide the notice":          {connect.NewError(connect.CodeInternal, errors.New("of "+canary)), http.StatusOK},
		"nor does an older store":                           {connect.NewError(connect.CodeUnimplemented, errors.New("no such call")), http.StatusOK},
		"nor a notice that changes this moment":             {word("NoticeRevision: another"), http.StatusOK},
	} {
		t.Run(name, func(t *testing.T) {
			r, path := asked(t)
			r.opens(guardianCanary, path)
			r.intake.shownErr = c.err
			for _, page := range []string{"/consent", path} {
				w := r.do(page, nil)
				wantStatus(t, w, c.status)
				if shows := strings.Contains(w.Body.String(), "privacy@acme.example"); shows != (c.status == http.StatusOK) {
					t.Errorf("%s: the notice is shown: %v", page, shows)
				}
			}
			if strings.Contains(r.log.String(), "CANARY") {
				t.Error("the log holds an identifier")
			}
			if c.status == http.StatusOK && !strings.Contains(r.log.String(), "not on record") {
				t.Error("nobody is told")
			}
		})
	}
}
