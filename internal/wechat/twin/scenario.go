package twin

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/maodian-dev/maodian/internal/domain/subject"
)

// What the population does, in the words of the demo's samples.
const (
	boothScene      = "booth-2026"
	teaKey          = "tag:tea"
	pricingKey      = "pricing"
	withdrawWord    = "退订"
	smallTalk       = "你好，请问有新茶吗？"
	directMarketing = "DirectMarketing"
	personalised    = "PersonalizedMarketing"
	groupReporting  = "GroupReporting@acme-group-crm"
)

// Points of the demo's LeadModel. Totals keep away from the threshold, because
// points decay from the first second.
const (
	followPoints  = 5
	scanPoints    = 20
	pricingPoints = 10
	messagePoints = 8
	engagedPoints = 15
)

// Role is what a person does about consent.
type Role string

// The roles. Each person has one.
const (
	RoleLoyal    Role = "loyal"    // consents and stays
	RoleWithdraw Role = "withdraw" // consents, later writes the keyword
	RoleLeave    Role = "leave"    // consents, later unfollows
	RoleMinor    Role = "minor"    // consents, but says 14 to 17 years old
	RoleRefuse   Role = "refuse"   // opens the page and ticks nothing
	RoleSilent   Role = "silent"   // never opens the page
)

func (r Role) consents() bool { return r != RoleRefuse && r != RoleSilent }

// Shares are parts of the population, between 0 and 1. A part of a part is meant
// where the comment says so.
type Shares struct {
	// Consent is the share of adults who consent to marketing, whatever they do later;
	// Withdraw and Leave are shares of the population inside it.
	Consent  float64 `json:"consent"`
	Withdraw float64 `json:"withdraw"`
	Leave    float64 `json:"leave"`
	// GroupReporting is the share of the population who also consent to the transfer.
	GroupReporting float64 `json:"groupReporting"`
	Refuse         float64 `json:"refuse"`
	Minor          float64 `json:"minor"`
	// Tea and Engaged are shares of each role; Popup of those who consent.
	Tea     float64 `json:"tea"`
	Engaged float64 `json:"engaged"`
	Popup   float64 `json:"popup"`
}

// Scenario is a population and what it does, decided by its seed alone.
type Scenario struct {
	Seed       uint64 `json:"seed"`
	AppID      string `json:"appID"`
	Followers  int    `json:"followers"`
	TemplateID string `json:"templateID"`
	Shares     Shares `json:"shares"`
}

// DefaultScenario is the demo's population.
func DefaultScenario(seed uint64, appID string, followers int) Scenario {
	return Scenario{
		Seed: seed, AppID: appID, Followers: followers, TemplateID: DefaultTemplate,
		Shares: Shares{
			Consent: 0.62, Withdraw: 0.04, Leave: 0.03, GroupReporting: 0.35, Refuse: 0.12, Minor: 0.05,
			Tea: 0.7, Engaged: 0.75, Popup: 0.9,
		},
	}
}

func (s Scenario) validate() error {
	h := s.Shares
	for _, v := range []float64{h.Consent, h.Withdraw, h.Leave, h.GroupReporting, h.Refuse, h.Minor, h.Tea, h.Engaged, h.Popup} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%w: shares must be between 0 and 1", ErrSettings)
		}
	}
	switch {
	case s.AppID == "" || s.TemplateID == "":
		return fmt.Errorf("%w: scenario needs an app id and a template id", ErrSettings)
	case s.Followers < 1 || s.Followers > defaultMaxPeople:
		return fmt.Errorf("%w: followers must be between 1 and %d", ErrSettings, defaultMaxPeople)
	case h.Consent+h.Refuse+h.Minor > 1+1e-9 || h.Withdraw+h.Leave > h.Consent || h.GroupReporting > h.Consent:
		return fmt.Errorf("%w: shares do not add up", ErrSettings)
	}
	return nil
}

// Person is one follower's whole story.
type Person struct {
	OpenID subject.OpenID
	Role   Role
	// Tea, Scan, Pricing, Message: presses the tea key, scans at the booth, presses
	// the pricing key, writes something.
	Tea, Scan, Pricing, Message bool
	// Grants are the boxes ticked on the consent page; Age the answer given there.
	Grants []string
	Age    string
	// Popup: allows one message of the template.
	Popup bool

	index int
}

// Points is the score of the person's deeds before any decay.
func (p Person) Points() int {
	points := followPoints
	for _, deed := range []struct {
		done   bool
		points int
	}{{p.Scan, scanPoints}, {p.Pricing, pricingPoints}, {p.Message, messagePoints}} {
		if deed.done {
			points += deed.points
		}
	}
	return points
}

// InAudience tells who likes tea and is engaged; consent is another matter.
func (p Person) InAudience() bool { return p.Tea && p.Points() >= engagedPoints }

// Eligible tells whom the campaign must reach; it must reach nobody else.
func (p Person) Eligible() bool { return p.InAudience() && p.Role == RoleLoyal && p.Popup }

// Transferable tells whose separate consent to the transfer stands at the end.
func (p Person) Transferable() bool {
	return p.Role == RoleLoyal && len(p.Grants) == 3
}

// People lists the population, by index. The same scenario gives the same people.
func (s Scenario) People() ([]Person, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	ids, err := newCodec(s.Seed, s.AppID)
	if err != nil {
		return nil, err
	}
	people := make([]Person, s.Followers)
	for i := range people {
		openID, err := subject.NewOpenID(ids.encode(i))
		if err != nil {
			return nil, fmt.Errorf("make openid: %w", err)
		}
		people[i] = Person{OpenID: openID, index: i, Age: "adult"}
	}
	random := newRandom(s.Seed, "population")
	order := random.Perm(s.Followers)
	for _, group := range s.groups(order) {
		for _, i := range group.members {
			people[i].Role = group.role
		}
		s.tastes(people, group, random)
		s.consents(people, group, random)
	}
	return people, nil
}

// OpenIDs lists the population's identifiers, by index.
func (s Scenario) OpenIDs() ([]subject.OpenID, error) {
	people, err := s.People()
	if err != nil {
		return nil, err
	}
	out := make([]subject.OpenID, len(people))
	for i, p := range people {
		out[i] = p.OpenID
	}
	return out, nil
}

// group is the people of one role.
type group struct {
	role    Role
	members []int
}

// groups cuts a shuffled population into roles of exact sizes.
func (s Scenario) groups(order []int) []group {
	h := s.Shares
	sizes := []struct {
		role  Role
		share float64
	}{
		{RoleWithdraw, h.Withdraw},
		{RoleLeave, h.Leave},
		{RoleLoyal, h.Consent - h.Withdraw - h.Leave},
		{RoleMinor, h.Minor},
		{RoleRefuse, h.Refuse},
	}
	groups := make([]group, 0, len(sizes)+1)
	for _, size := range sizes {
		n := min(portion(size.share, s.Followers), len(order))
		groups = append(groups, group{size.role, order[:n]})
		order = order[n:]
	}
	return append(groups, group{RoleSilent, order})
}

func portion(share float64, of int) int { return int(math.Round(share * float64(of))) }

// pick returns the given share of the members, at random but of exact size.
func pick(random *rand.Rand, members []int, share float64) []int {
	picked := make([]int, len(members))
	for to, from := range random.Perm(len(members)) {
		picked[to] = members[from]
	}
	return picked[:portion(share, len(members))]
}

// tastes decides who likes tea and who does enough to count as engaged.
func (s Scenario) tastes(people []Person, g group, random *rand.Rand) {
	for _, i := range pick(random, g.members, s.Shares.Tea) {
		people[i].Tea = true
	}
	// The keyword of a withdrawal is a message as well, so these write nothing else.
	chatty := g.role != RoleWithdraw
	for n, i := range g.members {
		people[i].Message = chatty && n%3 == 0
	}
	for n, i := range pick(random, g.members, s.Shares.Engaged) {
		p := &people[i]
		p.Scan = n%3 != 2 || !chatty
		p.Pricing = n%3 != 1
		p.Message = chatty && n%3 != 1
	}
}

// consents decides what the members of a role tick, and who allows a message.
func (s Scenario) consents(people []Person, g group, random *rand.Rand) {
	if !g.role.consents() {
		return
	}
	for _, i := range g.members {
		people[i].Grants = []string{personalised, directMarketing}
	}
	popup := pick(random, g.members, s.Shares.Popup)
	if g.role == RoleMinor {
		// They lack nothing but years, so that age alone must keep them out.
		popup = g.members
		for _, i := range g.members {
			people[i].Age = "14to17"
		}
	} else if s.Shares.Consent > 0 {
		for _, i := range pick(random, g.members, s.Shares.GroupReporting/s.Shares.Consent) {
			people[i].Grants = append(people[i].Grants, groupReporting)
		}
	}
	for _, i := range popup {
		people[i].Popup = true
	}
}

// Expectation is the outcome of a scenario in numbers.
type Expectation struct {
	Followers int `json:"followers"`
	// Roles counts people by role, Audience those of them who are in the audience.
	Roles    map[Role]int `json:"roles"`
	Audience map[Role]int `json:"audience"`
	// InAudience is the audience's size while everybody is known to the store;
	// without those who left it is AudienceStaying.
	InAudience      int `json:"inAudience"`
	AudienceStaying int `json:"audienceStaying"`
	// NoGrant are loyal people in the audience who allowed no message.
	NoGrant  int `json:"noGrant"`
	Eligible int `json:"eligible"`
	// GroupReporting ticked the transfer; Transferable still stand by it at the end.
	GroupReporting int `json:"groupReporting"`
	Transferable   int `json:"transferable"`
	Tea            int `json:"tea"`
	Engaged        int `json:"engaged"`
	Popup          int `json:"popup"`
}

// Expected computes the outcome that a correct system must reach.
func Expected(s Scenario) (Expectation, error) {
	people, err := s.People()
	if err != nil {
		return Expectation{}, err
	}
	e := Expectation{Followers: len(people), Roles: map[Role]int{}, Audience: map[Role]int{}}
	add := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	for _, p := range people {
		e.Roles[p.Role]++
		if p.InAudience() {
			e.Audience[p.Role]++
		}
		add(&e.InAudience, p.InAudience())
		add(&e.AudienceStaying, p.InAudience() && p.Role != RoleLeave)
		add(&e.NoGrant, p.InAudience() && p.Role == RoleLoyal && !p.Popup)
		add(&e.Eligible, p.Eligible())
		add(&e.GroupReporting, len(p.Grants) == 3)
		add(&e.Transferable, p.Transferable())
		add(&e.Tea, p.Tea)
		add(&e.Engaged, p.Points() >= engagedPoints)
		add(&e.Popup, p.Popup)
	}
	return e, nil
}
