package callback

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

func encryptCBC(t *testing.T, key AESKey, frame []byte) []byte {
	t.Helper()
	for len(frame)%aes.BlockSize != 0 {
		frame = append([]byte{0}, frame...)
	}
	block, err := aes.NewCipher(key.key[:])
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(frame))
	cipher.NewCBCEncrypter(block, key.key[:16]).CryptBlocks(out, frame)
	return out
}

const (
	person = "oAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	pusher = "oPPPPPPPPPPPPPPPPPPPPPPPPPPP"
)

func openID(t *testing.T, raw string) subject.OpenID {
	t.Helper()
	o, err := subject.NewOpenID(raw)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func xmlOf(from, rest string) string {
	return "<xml><ToUserName>gh_1</ToUserName><FromUserName>" + from + "</FromUserName><CreateTime>1700000000</CreateTime>" + rest + "</xml>"
}

func event(name, rest string) string {
	return "<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[" + name + "]]></Event>" + rest
}

func TestParse(t *testing.T) {
	who := openID(t, person)
	for name, c := range map[string]struct {
		in   string
		want Event
	}{
		"a follow by QR code": {
			xmlOf(person, event("subscribe", "<EventKey>qrscene_booth-2026</EventKey><Ticket>T</Ticket>")),
			Event{Kind: KindSubscribe, OpenID: who, Scene: "booth-2026"},
		},
		"a scan by a follower": {
			xmlOf(person, event("SCAN", "<EventKey>booth-2026</EventKey>")),
			Event{Kind: KindScan, OpenID: who, Scene: "booth-2026"},
		},
		"a menu key": {
			xmlOf(person, event("CLICK", "<EventKey> tag:tea </EventKey>")),
			Event{Kind: KindClick, OpenID: who, EventKey: "tag:tea"},
		},
		"an opened page loses its query": {
			xmlOf(person, event("VIEW", "<EventKey>https://brand.example/a?phone=1#x</EventKey>")),
			Event{Kind: KindView, OpenID: who, EventKey: "https://brand.example/a"},
		},
		"a text": {
			xmlOf(person, "<MsgType>text</MsgType><Content>退订</Content><MsgId>23456789012345678</MsgId>"),
			Event{Kind: KindText, OpenID: who, Content: subject.NewText("退订"), MsgID: 23456789012345678},
		},
		"a position is a message without its place": {
			xmlOf(person, "<MsgType>location</MsgType><Location_X>30.1</Location_X><MsgId>7</MsgId>"),
			Event{Kind: KindOtherMessage, OpenID: who, MsgID: 7},
		},
		"a pop-up with two templates": {
			xmlOf(person, event("subscribe_msg_popup_event", "<SubscribeMsgPopupEvent><List><TemplateId>T1</TemplateId><SubscribeStatusString>accept</SubscribeStatusString></List>"+
				"<List><TemplateId>T2</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgPopupEvent>")),
			Event{Kind: KindPopup, OpenID: who, Subscriptions: []Subscription{{TemplateID: "T1", Accepted: true}, {TemplateID: "T2"}}},
		},
		"a change in the wrapper of a pop-up": {
			xmlOf(person, event("subscribe_msg_change_event", "<SubscribeMsgPopupEvent><List><TemplateId>T1</TemplateId><SubscribeStatusString>reject</SubscribeStatusString></List></SubscribeMsgPopupEvent>")),
			Event{Kind: KindChange, OpenID: who, Subscriptions: []Subscription{{TemplateID: "T1"}}},
		},
		"a subscription event without a list wants attention": {
			xmlOf(person, event("subscribe_msg_popup_event", "")),
			Event{Kind: KindPopup, OpenID: who, Attention: true},
		},
		"a sent result in JSON with one entry and strings": {
			`{"ToUserName":"gh_1","FromUserName":"` + person + `","CreateTime":"1700000000","MsgType":"event","Event":"subscribe_msg_sent_event",` +
				`"SubscribeMsgSentEvent":{"List":{"TemplateId":"T1","MsgID":"1864323726461255680","ErrorCode":"0","ErrorStatus":"success"}}}`,
			Event{Kind: KindSent, OpenID: who, Subscriptions: []Subscription{{TemplateID: "T1", Accepted: true, MsgID: 1864323726461255680, ErrorStatus: "success"}}},
		},
		"a pop-up in JSON without a wrapper, several entries": {
			`{"ToUserName":"gh_1","FromUserName":"` + person + `","CreateTime":1700000000,"MsgType":"event","Event":"subscribe_msg_popup_event",` +
				`"List":[{"TemplateId":"T1","SubscribeStatusString":"accept"},{"TemplateId":"T2","SubscribeStatusString":"reject"}]}`,
			Event{Kind: KindPopup, OpenID: who, Subscriptions: []Subscription{{TemplateID: "T1", Accepted: true}, {TemplateID: "T2"}}},
		},
		"a revoked authorisation is about OpenID, also with a blank in the key": {
			`{"ToUserName":"gh_1","FromUserName":"` + pusher + `","CreateTime":1700000000,"MsgType":"event","Event":"user_authorization_revoke"," OpenID":"` + person + `","RevokeInfo":"205, 206"}`,
			Event{Kind: KindRevoke, OpenID: who, RevokeInfo: []int{205, 206}},
		},
		"a cancellation without OpenID wants attention and names nobody": {
			xmlOf(pusher, event("user_authorization_cancellation", "")),
			Event{Kind: KindCancellation, Attention: true},
		},
		"a finished mass send is about nobody": {
			xmlOf(pusher, event("MASSSENDJOBFINISH", "<MsgID>1000001625</MsgID><Status>send success</Status><TotalCount>296</TotalCount><FilterCount>295</FilterCount><SentCount>294</SentCount><ErrorCount>1</ErrorCount>")),
			Event{Kind: KindMassFinished, MsgID: 1000001625, Status: "send success", Mass: &MassResult{296, 295, 294, 1}},
		},
		"a finished template send": {
			xmlOf(person, event("TEMPLATESENDJOBFINISH", "<MsgID>200163836</MsgID><Status>failed:user block</Status>")),
			Event{Kind: KindTemplateFinished, OpenID: who, MsgID: 200163836, Status: "failed:user block"},
		},
		"an event of tomorrow is unknown, not an error": {
			xmlOf("somebody", event("brand_new", "")),
			Event{Kind: KindUnknown},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Account, c.want.CreateTime = "gh_1", time.Unix(1700000000, 0)
			same := cmp.Comparer(func(a, b subject.OpenID) bool { return a == b })
			text := cmp.Comparer(func(a, b subject.Text) bool { return a == b })
			if diff := cmp.Diff(c.want, got, same, text, cmpopts.IgnoreUnexported(Event{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParse_Refuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                  "  ",
		"a document type":          "<!DOCTYPE xml><xml/>",
		"an unknown entity":        xmlOf(person, "<MsgType>&boom;</MsgType>"),
		"two elements":             "<xml></xml><xml></xml>",
		"crossed elements":         "<xml><a><b></a></b></xml>",
		"an unclosed element":      "<xml><a>",
		"text around the element":  "<xml></xml>x",
		"a deep nest":              strings.Repeat("<a>", 50) + strings.Repeat("</a>", 50),
		"many comments":            "<a>" + strings.Repeat("<!---->", maxNodes) + "</a>",
		"a deep JSON nest":         `{"a":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + "}",
		"half JSON":                `{"CreateTime":1`,
		"two JSON values":          `{"CreateTime":1}{"CreateTime":1}`,
		"no CreateTime":            "<xml><MsgType>text</MsgType></xml>",
		"a CreateTime of a poet":   "<xml><CreateTime>spring</CreateTime></xml>",
		"a negative CreateTime":    "<xml><CreateTime>-5</CreateTime></xml>",
		"a follow by nobody":       xmlOf("", event("subscribe", "")),
		"a follow by a short name": xmlOf("o1", event("subscribe", "")),
	} {
		t.Run(name, func(t *testing.T) {
			if e, err := Parse([]byte(in)); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, %v", e.Kind, err)
			}
		})
	}
}

func TestDedupeKey(t *testing.T) {
	key := func(in string) DedupeKey {
		t.Helper()
		e, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		return e.DedupeKey()
	}
	text := func(id, content string) string {
		return xmlOf(person, "<MsgType>text</MsgType><Content>"+content+"</Content><MsgId>"+id+"</MsgId>")
	}
	click := func(k string) string { return xmlOf(person, event("CLICK", "<EventKey>"+k+"</EventKey>")) }
	if key(text("1", "a")) != key(text("1", "b")) {
		t.Error("one MsgId is one message")
	}
	different := map[string]string{
		"another message":              text("2", "a"),
		"a message":                    text("1", "a"),
		"a key":                        click("tag:tea"),
		"another key in that second":   click("pricing"),
		"a follow":                     xmlOf(person, event("subscribe", "")),
		"an unfollow in that second":   xmlOf(person, event("unsubscribe", "")),
		"another person's unfollow":    xmlOf(pusher, event("unsubscribe", "")),
		"a revoke":                     xmlOf(pusher, event("user_authorization_revoke", "<OpenID>"+person+"</OpenID>")),
		"the revoke of another person": xmlOf(pusher, event("user_authorization_revoke", "<OpenID>"+pusher+"</OpenID>")),
	}
	seen := map[DedupeKey]string{}
	for name, in := range different {
		k := key(in)
		if other, ok := seen[k]; ok {
			t.Errorf("%s and %s have one key", name, other)
		}
		if k != key(in) {
			t.Errorf("%s: a second delivery has another key", name)
		}
		seen[k] = name
	}
}
