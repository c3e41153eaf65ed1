package wechat

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/silenceper/wechat/v2/util"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// Bounds of a mass send by openid, set by the platform.
const (
	MinMassRecipients = 2
	MaxMassRecipients = 10_000
	maxClientMsgID    = 64
)

// SubscriptionMessage is a subscription notification (订阅通知) to one person. It
// uses up one of the answers with which the person allowed it.
type SubscriptionMessage struct {
	To         subject.OpenID
	TemplateID string
	// Page is opened by a tap; may be empty.
	Page string
	// Data are the values of the template's keywords, e.g. thing1.
	Data map[string]string
}

// MassMessage is a mass send (群发) to up to 10,000 people: either Text or MediaID.
type MassMessage struct {
	To []subject.OpenID
	// Text is the message itself; MediaID names an article made before.
	Text, MediaID string
	// ClientMsgID is the key by which the platform drops a repetition for 24 hours.
	// It must depend on the campaign and the chunk, not on the attempt.
	ClientMsgID string
}

// Receipt says that the platform accepted a message.
type Receipt struct {
	// MsgID is the platform's number; 0 if it gave none.
	MsgID int64
	// Duplicate: it had accepted the same message before, and nothing new was sent.
	Duplicate bool
}

// WebIdentity is who opened a page inside WeChat.
type WebIdentity struct {
	OpenID subject.OpenID
	// UnionID is zero unless the account is bound to an Open Platform account.
	UnionID subject.UnionID
	// Snapshot: the identity is a virtual one (快照页). Record no consent for it.
	Snapshot bool
}

// FollowerPage is a part of the list of followers.
type FollowerPage struct {
	OpenIDs []subject.OpenID
	// Next continues the list; zero at its end.
	Next subject.OpenID
	// Total counts all followers of the account.
	Total int64
}

type sendAnswer struct {
	util.CommonError
	MsgID     lenientInt `json:"msgid"`
	MassMsgID lenientInt `json:"msg_id"`
}

// SendSubscription sends to one person. The platform has no deduplication here: a
// call of class Unknown must never be made again.
func (a *Account) SendSubscription(ctx context.Context, m SubscriptionMessage) (Receipt, error) {
	if m.To.IsZero() || m.TemplateID == "" || len(m.Data) == 0 {
		return Receipt{}, &Error{Call: callOf(pathBizSend), Class: Program, Reason: ReasonRequest}
	}
	out := &message.SubscribeMessage{
		ToUser: m.To.Reveal(), TemplateID: m.TemplateID, Page: m.Page,
		Data: make(map[string]*message.SubscribeDataItem, len(m.Data)),
	}
	for k, v := range m.Data {
		out.Data[k] = &message.SubscribeDataItem{Value: v}
	}
	var in sendAnswer
	if err := a.post(ctx, pathBizSend, out, &in); err != nil {
		return Receipt{}, err
	}
	return Receipt{MsgID: in.MsgID.value}, nil
}

// massBody is the request of mass/send. The SDK's has no clientmsgid, and its
// sender has traps that can reach every follower (wechat.md 18.7).
type massBody struct {
	ToUser      []string   `json:"touser"`
	MsgType     string     `json:"msgtype"`
	Text        *massText  `json:"text,omitempty"`
	News        *massMedia `json:"mpnews,omitempty"`
	ClientMsgID string     `json:"clientmsgid"`
	Reprint     *int       `json:"send_ignore_reprint,omitempty"`
}

type massText struct {
	Content string `json:"content"`
}

type massMedia struct {
	MediaID string `json:"media_id"`
}

// SendMass submits one job. An answer that the same ClientMsgID was used before is
// success: the platform had accepted it.
func (a *Account) SendMass(ctx context.Context, m MassMessage) (Receipt, error) {
	n := len(m.To)
	wrong := n < MinMassRecipients || n > MaxMassRecipients || (m.Text == "") == (m.MediaID == "") ||
		m.ClientMsgID == "" || len(m.ClientMsgID) > maxClientMsgID
	if wrong {
		return Receipt{}, &Error{Call: callOf(pathMassSend), Class: Program, Reason: ReasonRequest}
	}
	out := massBody{ToUser: make([]string, n), ClientMsgID: m.ClientMsgID}
	for i, o := range m.To {
		if o.IsZero() {
			return Receipt{}, &Error{Call: callOf(pathMassSend), Class: Program, Reason: ReasonRequest}
		}
		out.ToUser[i] = o.Reveal()
	}
	if m.Text != "" {
		out.MsgType, out.Text = "text", &massText{m.Text}
	} else {
		out.MsgType, out.News, out.Reprint = "mpnews", &massMedia{m.MediaID}, new(int)
	}
	var in sendAnswer
	err := a.post(ctx, pathMassSend, out, &in)
	if err != nil && ClassOf(err) != OK {
		return Receipt{}, err
	}
	return Receipt{MsgID: in.MassMsgID.value, Duplicate: err != nil}, nil
}

// Followers reads the list of followers, from the start if next is zero. Whoever
// follows or leaves meanwhile may be missed or come twice.
func (a *Account) Followers(ctx context.Context, next subject.OpenID) (FollowerPage, error) {
	query := url.Values{}
	if !next.IsZero() {
		query.Set("next_openid", next.Reveal())
	}
	var in struct {
		util.CommonError
		Total lenientInt `json:"total"`
		Count lenientInt `json:"count"`
		Data  struct {
			OpenIDs []string `json:"openid"`
		} `json:"data"`
		Next string `json:"next_openid"`
	}
	if err := a.get(ctx, pathUserGet, query, &in); err != nil {
		return FollowerPage{}, err
	}
	page := FollowerPage{Total: in.Total.value, OpenIDs: make([]subject.OpenID, 0, len(in.Data.OpenIDs))}
	for _, raw := range in.Data.OpenIDs {
		o, err := subject.NewOpenID(raw)
		if err != nil {
			return FollowerPage{}, &Error{Call: callOf(pathUserGet), Class: Retry, Reason: ReasonBody}
		}
		page.OpenIDs = append(page.OpenIDs, o)
	}
	if in.Count.value == 0 || in.Next == "" {
		return page, nil
	}
	following, err := subject.NewOpenID(in.Next)
	if err != nil || following == next { // the same again would loop for ever
		return FollowerPage{}, &Error{Call: callOf(pathUserGet), Class: Retry, Reason: ReasonBody}
	}
	page.Next = following
	return page, nil
}

// ExchangeCode tells who came back from the authorisation page. The tokens in the
// answer are dropped: the identity is all we need.
func (a *Account) ExchangeCode(ctx context.Context, code string) (WebIdentity, error) {
	r := request{method: http.MethodGet, path: pathWebToken, query: url.Values{
		"appid": {a.appID}, "secret": {a.secret.Reveal()}, "code": {code}, "grant_type": {"authorization_code"},
	}}
	if code == "" || len(code) > 512 {
		return WebIdentity{}, r.fail(Program, ReasonRequest)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	ans, err := a.exchange(ctx, r)
	if err != nil {
		return WebIdentity{}, err
	}
	if ans.code != 0 {
		return WebIdentity{}, refusal(pathWebToken, ans)
	}
	var in struct {
		OpenID   string     `json:"openid"`
		UnionID  string     `json:"unionid"`
		Snapshot lenientInt `json:"is_snapshotuser"`
	}
	if json.Unmarshal(ans.body, &in) != nil {
		return WebIdentity{}, r.fail(Retry, ReasonBody)
	}
	who, err := subject.NewOpenID(in.OpenID)
	if err != nil {
		return WebIdentity{}, r.fail(Retry, ReasonBody)
	}
	union, err := subject.NewUnionID(in.UnionID)
	if err != nil { // it is not promised: a page works without
		union = subject.UnionID{}
	}
	return WebIdentity{OpenID: who, UnionID: union, Snapshot: in.Snapshot.value != 0}, nil
}

// Check fetches a token, which proves AppID, AppSecret and the way to the platform.
func (a *Account) Check(ctx context.Context) error {
	_, err := a.tokens.get(ctx)
	return err
}

// AuthorizeURL is the page that sends a person on to redirectURI with a code and
// the state, silently. The platform insists on this order of parameters.
func AuthorizeURL(appID, redirectURI, state string) string {
	return "https://open.weixin.qq.com/connect/oauth2/authorize?appid=" + url.QueryEscape(appID) +
		"&redirect_uri=" + url.QueryEscape(redirectURI) +
		"&response_type=code&scope=snsapi_base&state=" + url.QueryEscape(state) + "#wechat_redirect"
}
