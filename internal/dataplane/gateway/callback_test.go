package gateway

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/maodian-dev/maodian/internal/domain/subject"
	storev1 "github.com/maodian-dev/maodian/internal/storeapi/v1"
	"github.com/maodian-dev/maodian/internal/wechat/callback"
	"github.com/maodian-dev/maodian/internal/wechat/twin/twintest"
)

// message is what the platform says, before encryption.
func message(fields string) string {
	return fmt.Sprintf("<xml><ToUserName>gh_0</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime>%s</xml>", canary, start.Unix(), fields)
}

func event(name, fields string) string {
	return message("<MsgType>event</MsgType><Event>" + name + "</Event>" + fields)
}

// push sends a message as the platform does.
func (r *rig) push(plain string) *httptest.ResponseRecorder {
	r.t.Helper()
	query, body, _ := r.sealedQuery(plain)
	return r.raw(query.Encode(), body)
}

func (r *rig) raw(query string, body []byte) *httptest.ResponseRecorder {
	r.t.Helper()
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/wechat/callback?"+query, bytes.NewReader(body)))
	return w
}

func TestCallback_WhatTheStoreLearns(t *testing.T) {
	list := func(entries string) string {
		return "<SubscribeMsgPopupEvent>" + entries + "</SubscribeMsgPopupEvent>"
	}
	entry := func(id, said string) string {
		return "<List><TemplateId>" + id + "</TemplateId><SubscribeStatusString>" + said + "</SubscribeStatusString></List>"
	}
	for name, c := range map[string]struct {
		plain string
		want  *storev1.RecordEventRequest // without account, person, time and dedupe key
	}{
		"a follower":                        {event("subscribe", ""), &storev1.RecordEventRequest{Kind: "subscribe"}},
		"a follower by a QR code":           {event("subscribe", "<EventKey>qrscene_booth</EventKey>"), &storev1.RecordEventRequest{Kind: "subscribe", Key: "booth"}},
		"a scan":                            {event("SCAN", "<EventKey>booth</EventKey>"), &storev1.RecordEventRequest{Kind: "SCAN", Key: "booth"}},
		"who leaves":                        {event("unsubscribe", ""), &storev1.RecordEventRequest{Kind: "unsubscribe"}},
		"a menu key":                        {event("CLICK", "<EventKey>tag:tea</EventKey>"), &storev1.RecordEventRequest{Kind: "CLICK", Key: "tag:tea"}},
		"a menu key that withdraws":         {event("CLICK", "<EventKey>退订</EventKey>"), &storev1.RecordEventRequest{Kind: "CLICK", Key: "退订", Withdraw: true}},
		"a page, without its query":         {event("VIEW", "<EventKey>https://a.example/x?u=1</EventKey>"), &storev1.RecordEventRequest{Kind: "VIEW", Key: "https://a.example/x"}},
		"a text, without its content":       {message("<MsgType>text</MsgType><Content>hello</Content><MsgId>1</MsgId>"), &storev1.RecordEventRequest{Kind: "text"}},
		"a keyword":                         {message("<MsgType>text</MsgType><Content>退订</Content><MsgId>2</MsgId>"), &storev1.RecordEventRequest{Kind: "text", Withdraw: true}},
		"a keyword in full width":           {message("<MsgType>text</MsgType><Content>　ｔＤ </Content><MsgId>3</MsgId>"), &storev1.RecordEventRequest{Kind: "text", Withdraw: true}},
		"a text that contains a keyword":    {message("<MsgType>text</MsgType><Content>TD?</Content><MsgId>4</MsgId>"), &storev1.RecordEventRequest{Kind: "text"}},
		"a picture":                         {message("<MsgType>image</MsgType><MsgId>5</MsgId>"), &storev1.RecordEventRequest{Kind: "message"}},
		"answers to a pop-up":               {event("subscribe_msg_popup_event", list(entry("T1", "accept")+entry("T2", "reject"))), &storev1.RecordEventRequest{Kind: "subscribe_msg_popup_event", Subscriptions: []*storev1.SubscriptionAnswer{{TemplateId: "T1", Accepted: true}, {TemplateId: "T2"}}}},
		"a yes to another's template":       {event("subscribe_msg_popup_event", list(entry("T2", "accept"))), &storev1.RecordEventRequest{Kind: "subscribe_msg_popup_event"}},
		"a changed answer":                  {event("subscribe_msg_change_event", "<List><TemplateId>T2</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List>"), &storev1.RecordEventRequest{Kind: "subscribe_msg_change_event", Subscriptions: []*storev1.SubscriptionAnswer{{TemplateId: "T2"}}}},
		"a withdrawn authorisation":         {event("user_authorization_revoke", "<OpenID>"+canary+"</OpenID><RevokeInfo>1</RevokeInfo>"), &storev1.RecordEventRequest{Kind: "user_authorization_revoke"}},
		"an authorisation without a person": {event("user_authorization_revoke", ""), nil},
		"a changed profile":                 {event("user_info_modified", "<OpenID>"+canary+"</OpenID>"), nil},
		"a result of a send":                {event("subscribe_msg_sent_event", "<List><TemplateId>T1</TemplateId><ErrorCode>0</ErrorCode></List>"), nil},
		"the end of a mass send":            {event("MASSSENDJOBFINISH", "<TotalCount>5</TotalCount>"), nil},
		"news that we do not know":          {event("poi_check_notify", ""), nil},
		"a message that is none":            {"<xml><CreateTime>no</CreateTime></xml>", nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			w := r.push(c.plain)
			wantStatus(t, w, http.StatusOK)
			if replied := strings.Contains(w.Body.String(), "<Encrypt>"); replied != c.want.GetWithdraw() || (!replied && w.Body.String() != "success") {
				t.Errorf("answer %q", w.Body)
			}
			if c.want == nil {
				if len(r.intake.events) != 0 {
					t.Errorf("the store was told %v", r.intake.events)
				}
				return
			}
			if len(r.intake.events) != 1 {
				t.Fatalf("%d events", len(r.intake.events))
			}
			got := r.intake.events[0]
			if got.GetOpenId() != canary || len(got.GetDedupeKey()) != 32 {
				t.Error("the event is not told apart or not somebody's")
			}
			c.want.Account, c.want.OpenId, c.want.DedupeKey, c.want.At = "brand", got.GetOpenId(), got.GetDedupeKey(), timestamppb.New(start)
			if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallback_Refusals(t *testing.T) {
	r := newRig(t)
	keys := twintest.Keys(t)
	sealed, err := keys.Seal(keys.Current, []byte(event("subscribe", "")), "nonce", start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good, old := keys.Query(sealed), start.Add(-time.Hour)
	stale, err := keys.Seal(keys.Current, []byte(event("subscribe", "")), "nonce", old, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	foreign := keys
	foreign.AppID = "wxffffffffffffffff"
	other, err := foreign.Seal(keys.Current, []byte(event("subscribe", "")), "nonce", start, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plainMode := "signature=" + good.Get("signature") + "&timestamp=" + good.Get("timestamp") + "&nonce=nonce"
	for name, c := range map[string]struct {
		query string
		body  []byte
	}{
		"no signature at all":       {"", sealed.Envelope("gh_0")},
		"a message in plain":        {plainMode, []byte(event("subscribe", ""))},
		"a plain body, signed":      {good.Encode(), []byte(event("subscribe", ""))},
		"another body":              {good.Encode(), other.Envelope("gh_0")},
		"another account's":         {keys.Query(other).Encode(), other.Envelope("gh_0")},
		"an old one":                {keys.Query(stale).Encode(), stale.Envelope("gh_0")},
		"no body":                   {good.Encode(), nil},
		"a body without end":        {good.Encode(), bytes.Repeat([]byte("x"), callback.MaxBody+2)},
		"a check that is no check":  {"echostr=1", nil},
		"a body that is no message": {good.Encode(), []byte("\x00")},
	} {
		w := r.raw(c.query, c.body)
		if w.Code != http.StatusForbidden || w.Body.String() != "refused\n" {
			t.Errorf("%s: %d %q", name, w.Code, w.Body)
		}
	}
	if len(r.intake.events) != 0 {
		t.Error("the store was told of a forged event")
	}
}

func TestCallback_CheckOfTheAddress(t *testing.T) {
	r := newRig(t)
	keys := twintest.Keys(t)
	query := keys.Query(callback.Sealed{Timestamp: fmt.Sprint(start.Unix()), Nonce: "n"})
	query.Set("echostr", "4711")
	w := r.do("/wechat/callback?"+query.Encode(), nil)
	if w.Code != http.StatusOK || w.Body.String() != "4711" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	query.Set("nonce", "m")
	wantStatus(t, r.do("/wechat/callback?"+query.Encode(), nil), http.StatusForbidden)
	w = httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/wechat/callback", nil))
	wantStatus(t, w, http.StatusMethodNotAllowed)
}

func TestCallback_RepetitionIsSuccess(t *testing.T) {
	r := newRig(t)
	for range 3 {
		if w := r.push(event("subscribe", "")); w.Code != http.StatusOK || w.Body.String() != "success" {
			t.Fatalf("%d %q", w.Code, w.Body)
		}
	}
	if len(r.intake.events) != 1 {
		t.Errorf("%d events", len(r.intake.events))
	}
}

func TestCallback_NoSuccessBeforeTheStoreHasIt(t *testing.T) {
	t.Run("the store is away", func(t *testing.T) {
		r := newRig(t)
		r.intake.err = errStore
		wantStatus(t, r.push(event("subscribe", "")), http.StatusServiceUnavailable)
	})
	t.Run("the store is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.intake.stall = true
			began := time.Now()
			wantStatus(t, r.push(event("subscribe", "")), http.StatusServiceUnavailable)
			if took := time.Since(began); took != answerWithin {
				t.Errorf("answered after %s", took)
			}
		})
	})
}

func TestCallback_WithdrawalIsConfirmedWhenItHolds(t *testing.T) {
	r := newRig(t)
	text := message("<MsgType>text</MsgType><Content>退订</Content><MsgId>1</MsgId>")
	r.intake.unquiet = true
	if w := r.push(text); w.Body.String() != "success" {
		t.Errorf("confirmed although a message may still leave: %q", w.Body)
	}
	r.intake.unquiet = false
	w := r.push(text)
	plain := opened(t, w.Body.String())
	for _, want := range []string{"<ToUserName>" + canary + "<", "<FromUserName>gh_0<", "撤回", "withdrawal"} {
		if !strings.Contains(plain, want) {
			t.Errorf("the reply lacks %s", want)
		}
	}
}

// opened decrypts a reply.
func opened(t *testing.T, body string) string {
	t.Helper()
	keys := twintest.Keys(t)
	var sealed callback.Sealed
	for tag, to := range map[string]*string{"Encrypt": &sealed.Encrypt, "MsgSignature": &sealed.Signature, "TimeStamp": &sealed.Timestamp, "Nonce": &sealed.Nonce} {
		_, rest, _ := strings.Cut(body, "<"+tag+">")
		value, _, _ := strings.Cut(rest, "</"+tag+">")
		*to = strings.TrimSuffix(strings.TrimPrefix(value, "<![CDATA["), "]]>")
	}
	plain, _, err := keys.Open(keys.Query(sealed), sealed.Envelope("x"), start)
	if err != nil {
		t.Fatalf("the reply does not open: %v in %s", err, body)
	}
	return string(plain)
}

func TestCallback_InvitesWhereItMay(t *testing.T) {
	for name, c := range map[string]struct {
		may     bool
		host    string
		invited bool
	}{
		"a new follower":                    {true, host, true},
		"who was asked, or said no":         {false, host, false},
		"an account without public address": {true, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.host, r.intake.mayAsk = c.host, c.may
			r.handler = r.replica()
			w := r.push(event("subscribe", ""))
			wantStatus(t, w, http.StatusOK)
			if !c.invited {
				if w.Body.String() != "success" {
					t.Errorf("answered %s", w.Body)
				}
				return
			}
			text := opened(t, w.Body.String())
			for _, want := range []string{"https://" + host + "/consent\n", "https://" + host + "/consent?lang=en", "隐私告知", "privacy notice"} {
				if !strings.Contains(strings.ReplaceAll(text, "&#xA;", "\n"), want) {
					t.Errorf("the invitation lacks %q: %s", want, text)
				}
			}
		})
	}
}

func TestCallback_OldKeyGoesOnForAWhile(t *testing.T) {
	r := newRig(t)
	c := credentials()
	c.PreviousEncodingAESKey, c.EncodingAESKey = c.EncodingAESKey, subject.NewSecret(strings.Repeat("A", 43))
	keys, err := c.keys(twintest.AppID)
	if err != nil {
		t.Fatal(err)
	}
	if _, used, err := keys.Open(r.sealedQuery("x")); err != nil || used != keys.Previous {
		t.Errorf("the previous key is not used: %v", err)
	}
}

// sealedQuery is a push as callback.Keys.Open takes it.
func (r *rig) sealedQuery(plain string) (url.Values, []byte, time.Time) {
	r.t.Helper()
	keys := twintest.Keys(r.t)
	sealed, err := keys.Seal(keys.Current, []byte(plain), "nonce", r.now, rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return keys.Query(sealed), sealed.Envelope("gh_0"), r.now
}
