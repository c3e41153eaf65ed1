package twin

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Rules of a mass send (群发), wechat.md 10.
const (
	massMin, massMax = 2, 10_000
	clientMsgIDMax   = 64
	clientMsgIDLife  = 24 * time.Hour
	clientMsgIDPause = time.Minute
	// massSpeed is speed level 0 in people a second.
	massSpeed = 800_000 / 60
)

// massState are the account's mass sends.
type massState struct {
	byKey    map[string]*massJob
	byID     map[int64]*massJob
	nextSome int64
	nextAll  int64
	allDay   int64
	allMonth uint16
	allCount int
}

type massJob struct {
	id       int64
	accepted time.Time
	done     time.Time
}

func newMassState() massState {
	return massState{byKey: map[string]*massJob{}, byID: map[int64]*massJob{}, nextSome: 3147483001, nextAll: 1000000001}
}

type massRequest struct {
	ToUser []string `json:"touser"`
	Filter struct {
		ToAll bool            `json:"is_to_all"`
		TagID json.RawMessage `json:"tag_id"`
	} `json:"filter"`
	MsgType string `json:"msgtype"`
	Text    struct {
		Content string `json:"content"`
	} `json:"text"`
	News struct {
		MediaID string `json:"media_id"`
	} `json:"mpnews"`
	ClientMsgID string `json:"clientmsgid"`
}

// content is what people will see; ok is false if the request has none.
func (r massRequest) content() (text string, ok bool) {
	switch r.MsgType {
	case "text":
		return "text:" + r.Text.Content, r.Text.Content != ""
	case "mpnews":
		return "mpnews:" + r.News.MediaID, r.News.MediaID != ""
	}
	return "", false
}

func massSend(p *Platform, c *call) reply {
	var in massRequest
	if code := c.decode(&in); code != 0 {
		return refuse(code)
	}
	if len(in.ToUser) < massMin {
		return refuse(40130)
	}
	if len(in.ToUser) > massMax {
		return refuse(40032)
	}
	to := make([]int, len(in.ToUser))
	for i, openID := range in.ToUser {
		index, ok := p.person(openID)
		if !ok {
			return refuse(40003)
		}
		to[i] = index
	}
	return p.submit(c, in, to, &p.jobs.nextSome)
}

func massSendAll(p *Platform, c *call) reply {
	var in massRequest
	if code := c.decode(&in); code != 0 {
		return refuse(code)
	}
	if !in.Filter.ToAll {
		return refuse(40152) // tags are not modelled, so each is a wrong one
	}
	j := &p.jobs
	day, month := dayOf(c.now), monthOf(c.now)
	if month != j.allMonth {
		j.allMonth, j.allCount = month, 0
	}
	if _, repeated := j.byKey[in.ClientMsgID]; !repeated && (day == j.allDay || j.allCount >= massPerMonth) {
		return refuse(45028)
	}
	to := make([]int, 0, p.people.followers)
	for i := range p.people.flags {
		if p.people.is(i, following) {
			to = append(to, i)
		}
	}
	out := p.submit(c, in, to, &j.nextAll)
	if out.code == 0 {
		j.allDay = day
		j.allCount++
	}
	return out
}

// submit makes a job unless its key is known. People receive it at once; the job
// is done, and its event due, after the time that the speed level needs.
func (p *Platform) submit(c *call, in massRequest, to []int, next *int64) reply {
	content, ok := in.content()
	if !ok {
		return refuse(40007)
	}
	if len(in.ClientMsgID) > clientMsgIDMax {
		return refuse(45067)
	}
	key := in.ClientMsgID
	if key == "" {
		// The platform's own digest does not see the list of people.
		key = "digest:" + contentHash(content)
	}
	if old, ok := p.jobs.byKey[key]; ok && c.now.Sub(old.accepted) < clientMsgIDLife {
		if c.now.Sub(old.accepted) < clientMsgIDPause {
			return refuse(45066)
		}
		return reply{code: 45065, body: map[string]any{"msg_id": old.id}}
	}
	job := &massJob{id: *next, accepted: c.now, done: c.now.Add(time.Second + time.Duration(len(to))*time.Second/massSpeed)}
	*next++
	p.jobs.byKey[key], p.jobs.byID[job.id] = job, job
	filtered, failed := p.spread(to, monthOf(c.now), contentHash(content))
	p.stats.accepted++
	finish := p.message(0, event("MASSSENDJOBFINISH", fmt.Sprintf("<MsgID>%d</MsgID><Status>send success</Status><TotalCount>%d</TotalCount>"+
		"<FilterCount>%d</FilterCount><SentCount>%d</SentCount><ErrorCount>%d</ErrorCount>", job.id, len(to), filtered, filtered-failed, failed)), job.done)
	p.out.enqueue(finish)
	return reply{body: map[string]any{"errcode": 0, "errmsg": "send job submission success", "msg_id": job.id}}
}

// spread delivers to those who follow and have had fewer than four this month.
func (p *Platform) spread(to []int, month uint16, content string) (filtered, failed int) {
	seen := make(map[int]bool, len(to))
	for _, index := range to {
		if seen[index] || !p.people.is(index, following) || !p.people.takeMass(index, month) {
			continue
		}
		seen[index] = true
		filtered++
		if p.people.is(index, blocked) {
			failed++
			continue
		}
		p.people.receive(index, "mass", content)
	}
	return filtered, failed
}

func massGet(p *Platform, c *call) reply {
	var in struct {
		MsgID json.RawMessage `json:"msg_id"`
	}
	if code := c.decode(&in); code != 0 {
		return refuse(code)
	}
	raw := string(in.MsgID)
	if s, err := strconv.Unquote(raw); err == nil {
		raw = s
	}
	id, err := strconv.ParseInt(raw, 10, 64)
	job := p.jobs.byID[id]
	if err != nil || job == nil {
		return refuse(40059)
	}
	status := "SENDING"
	if !c.now.Before(job.done) {
		status = "SEND_SUCCESS"
	}
	return reply{body: map[string]any{"msg_id": id, "msg_status": status}}
}
