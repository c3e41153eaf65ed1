package twin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// pageSize is how many followers user/get lists at once.
const pageSize = 10_000

func userGet(p *Platform, c *call) reply {
	start := 0
	if next := c.query.Get("next_openid"); next != "" {
		index, ok := p.person(next)
		if !ok {
			return refuse(40003)
		}
		start = index + 1
	}
	page := []string{}
	last := ""
	for i := start; i < len(p.people.flags) && len(page) < pageSize; i++ {
		if p.people.is(i, following) {
			last = p.ids.encode(i)
			page = append(page, last)
		}
	}
	body := map[string]any{"total": p.people.followers, "count": len(page), "next_openid": last}
	if len(page) > 0 {
		body["data"] = map[string]any{"openid": page}
	}
	return reply{body: body}
}

func userInfo(p *Platform, c *call) reply {
	openID := c.query.Get("openid")
	index, ok := p.person(openID)
	if !ok {
		return refuse(40003)
	}
	if !p.people.is(index, following) {
		return reply{body: map[string]any{"subscribe": 0, "openid": openID}}
	}
	return reply{body: map[string]any{
		"subscribe": 1, "openid": openID, "nickname": "", "sex": 0, "language": "zh_CN", "headimgurl": "",
		"subscribe_time": p.people.since[index], "remark": "", "groupid": 0, "tagid_list": []int{},
		"subscribe_scene": "ADD_SCENE_QR_CODE", "qr_scene": 0, "qr_scene_str": "",
	}}
}

type bizSendRequest struct {
	ToUser     string `json:"touser"`
	TemplateID string `json:"template_id"`
	Data       map[string]struct {
		Value string `json:"value"`
	} `json:"data"`
}

// bizSend is the subscription notification: one message for one answer.
func bizSend(p *Platform, c *call) reply {
	var in bizSendRequest
	if code := c.decode(&in); code != 0 {
		return refuse(code)
	}
	index, ok := p.person(in.ToUser)
	if !ok {
		return refuse(40003)
	}
	if _, ok := p.people.grants[in.TemplateID]; !ok {
		return refuse(40037)
	}
	if at(p.people.grants[in.TemplateID], index) == 0 {
		return refuse(43101)
	}
	if !validData(in) {
		return refuse(47003)
	}
	p.people.takeGrant(index, in.TemplateID)
	p.msgID++
	p.stats.accepted++
	code, status := 0, "success"
	if p.people.is(index, blocked) {
		code, status = 1, "failed:user block"
	} else {
		p.people.receive(index, in.TemplateID, contentHash(in.Data))
	}
	p.out.enqueue(p.message(index, event("subscribe_msg_sent_event", fmt.Sprintf("<SubscribeMsgSentEvent><List><TemplateId>%s</TemplateId>"+
		"<MsgID>%d</MsgID><ErrorCode>%d</ErrorCode><ErrorStatus>%s</ErrorStatus></List></SubscribeMsgSentEvent>",
		escape(in.TemplateID), p.msgID, code, status)), c.now))
	return reply{body: map[string]any{"errcode": 0, "errmsg": "ok", "msgid": p.msgID}}
}

// validData checks what is certain: there are keywords and none is empty.
func validData(in bizSendRequest) bool {
	for _, item := range in.Data {
		if item.Value == "" {
			return false
		}
	}
	return len(in.Data) > 0
}

// contentHash names a content in the audit without repeating it.
func contentHash(content any) string {
	b, err := json.Marshal(content) // sorts the keys
	if err != nil {
		return "unhashable"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
