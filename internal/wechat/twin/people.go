package twin

import "time"

// Bits of a person's flags.
const (
	following uint8 = 1 << iota
	blocked
)

// massPerMonth is how many mass messages a follower can receive in a calendar month.
const massPerMonth = 4

// maxContents bounds the contents that the audit tells apart; later ones share a key.
const maxContents = 256

// people is what the platform knows of everybody, in flat arrays by index.
type people struct {
	flags     []uint8
	since     []uint32 // Unix time of the last follow
	massMonth []uint16 // the month that massCount is about, see monthOf
	massCount []uint8
	received  []uint32
	// grants counts the unused answers per template.
	grants map[string][]uint16
	// byTemplate and byContent count received messages.
	byTemplate map[string][]uint16
	byContent  map[string][]uint16
	followers  int
	messages   int64
}

func newPeople(templates []string) *people {
	p := &people{grants: map[string][]uint16{}, byTemplate: map[string][]uint16{}, byContent: map[string][]uint16{}}
	for _, t := range templates {
		p.grants[t] = nil
	}
	return p
}

// grow makes room for the person with the index.
func (p *people) grow(index int) {
	if index < len(p.flags) {
		return
	}
	more := index + 1 - len(p.flags)
	p.flags = append(p.flags, make([]uint8, more)...)
	p.since = append(p.since, make([]uint32, more)...)
	p.massMonth = append(p.massMonth, make([]uint16, more)...)
	p.massCount = append(p.massCount, make([]uint8, more)...)
	p.received = append(p.received, make([]uint32, more)...)
}

func (p *people) is(index int, flag uint8) bool {
	return index < len(p.flags) && p.flags[index]&flag != 0
}

func (p *people) follow(index int, now time.Time) {
	p.grow(index)
	if !p.is(index, following) {
		p.followers++
	}
	p.flags[index] |= following
	p.since[index] = uint32(now.Unix())
}

func (p *people) unfollow(index int) {
	if p.is(index, following) {
		p.followers--
		p.flags[index] &^= following
	}
}

// count adds n to a counter in an array that grows as needed.
func count(counters []uint16, index, n int) []uint16 {
	if index >= len(counters) {
		counters = append(counters, make([]uint16, index+1-len(counters))...)
	}
	v := max(0, min(int(counters[index])+n, 1<<16-1))
	counters[index] = uint16(v)
	return counters
}

func at(counters []uint16, index int) int {
	if index >= len(counters) {
		return 0
	}
	return int(counters[index])
}

func (p *people) addGrant(index int, template string, n int) {
	p.grow(index)
	p.grants[template] = count(p.grants[template], index, n)
}

// takeGrant uses one answer up, if there is one.
func (p *people) takeGrant(index int, template string) bool {
	if at(p.grants[template], index) == 0 {
		return false
	}
	p.addGrant(index, template, -1)
	return true
}

// receive is the oracle's entry: the person has the message on their phone.
func (p *people) receive(index int, template, content string) {
	p.grow(index)
	p.received[index]++
	p.messages++
	p.byTemplate[template] = count(p.byTemplate[template], index, 1)
	if _, known := p.byContent[content]; !known && len(p.byContent) >= maxContents {
		content = "other"
	}
	p.byContent[content] = count(p.byContent[content], index, 1)
}

// takeMass counts a mass message against the follower's month.
func (p *people) takeMass(index int, month uint16) bool {
	if p.massMonth[index] != month {
		p.massMonth[index], p.massCount[index] = month, 0
	}
	if p.massCount[index] >= massPerMonth {
		return false
	}
	p.massCount[index]++
	return true
}

// monthOf numbers the calendar months in Shanghai.
func monthOf(t time.Time) uint16 {
	y, m, _ := t.In(shanghai).Date()
	return uint16(y*12 + int(m))
}

// dayOf numbers the calendar days in Shanghai.
func dayOf(t time.Time) int64 { return (t.Unix() + 8*3600) / (24 * 3600) }

// shanghai is the platform's time zone; China has no summer time.
var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)
