package twin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

const (
	driverWorkers = 16
	// changePause parts the two acts, so that what people do later is also later in
	// the platform's timestamps, which count whole seconds.
	changePause  = 2 * time.Second
	pageAttempts = 3
	pagePause    = time.Second
)

// ErrBusy says that a population is on its way already.
var ErrBusy = errors.New("a scenario is running")

// States of a scenario.
const (
	StateIdle    = "idle"
	StateRunning = "running"
	StateDone    = "done"
	StateFailed  = "failed"
)

// story is the progress of a scenario.
type story struct {
	mu       sync.Mutex
	state    string
	done     int
	total    int
	problems map[string]int
}

// Progress tells how far a scenario is. Done counts people whose part is over.
type Progress struct {
	State string `json:"state"`
	Done  int    `json:"done"`
	Total int    `json:"total"`
	// Problems counts what went wrong, by a word of a closed set.
	Problems map[string]int `json:"problems,omitempty"`
}

func (s *story) progress() Progress {
	if s == nil {
		return Progress{State: StateIdle}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Progress{State: s.state, Done: s.done, Total: s.total, Problems: map[string]int{}}
	for k, v := range s.problems {
		p.Problems[k] = v
	}
	return p
}

// problem counts an error and tells whether there was one.
func (s *story) problem(err error) {
	word := ""
	switch {
	case err == nil:
		return
	case errors.Is(err, context.Canceled):
		word = "canceled"
	case errors.Is(err, errCallback):
		word = "callback"
	case errors.Is(err, errPage):
		word = "consent-page"
	case errors.Is(err, errForm):
		word = "consent-form"
	case errors.Is(err, errPost):
		word = "consent-post"
	default:
		word = "authorize"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems[word]++
}

var errCallback = errors.New("callback not taken")

// Play lets a scenario's population act, and returns when all are through. People
// are concurrent; what one person does is in order, each callback taken before the
// next. consentURL is the gateway's consent page.
func (p *Platform) Play(ctx context.Context, s Scenario, consentURL string) error {
	run, err := p.begin(s, consentURL)
	if err != nil {
		return err
	}
	return run(ctx)
}

// begin checks everything and marks the scenario as running; the returned function
// plays it.
func (p *Platform) begin(s Scenario, consentURL string) (func(context.Context) error, error) {
	home, err := url.Parse(consentURL)
	if err != nil || home.Host == "" || (home.Scheme != "https" && home.Scheme != "http") {
		return nil, fmt.Errorf("%w: consent URL must be an http or https address", ErrSettings)
	}
	if s.Seed != p.settings.Seed || s.AppID != p.settings.AppID {
		return nil, fmt.Errorf("%w: the scenario is of another seed or account", ErrSettings)
	}
	if s.Followers > p.settings.MaxPeople {
		return nil, fmt.Errorf("%w: more followers than the twin has room for", ErrSettings)
	}
	people, err := s.People()
	if err != nil {
		return nil, err
	}
	st := &story{state: StateRunning, total: len(people), problems: map[string]int{}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.story.progress().State == StateRunning {
		return nil, ErrBusy
	}
	p.story = st
	return func(ctx context.Context) error {
		return p.play(ctx, st, s, people, home)
	}, nil
}

func (p *Platform) play(ctx context.Context, st *story, s Scenario, people []Person, home *url.URL) error {
	p.crowd(people, func(who Person) {
		err := p.arrive(ctx, s, who, home)
		st.problem(err)
		if who.Role != RoleWithdraw && who.Role != RoleLeave {
			st.finish()
		}
	})
	if err := p.clock.Sleep(ctx, changePause); err == nil {
		p.crowd(people, func(who Person) {
			if who.Role == RoleWithdraw || who.Role == RoleLeave {
				st.problem(p.change(ctx, who))
				st.finish()
			}
		})
	}
	return st.end(ctx)
}

func (s *story) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
}

func (s *story) end(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = StateDone
	if err := ctx.Err(); err != nil {
		s.state = StateFailed
		return fmt.Errorf("play scenario: %w", err)
	}
	if len(s.problems) > 0 {
		s.state = StateFailed
		return fmt.Errorf("play scenario: problems %v", s.problems)
	}
	return nil
}

// crowd runs act for everybody, a few at a time.
func (p *Platform) crowd(people []Person, act func(Person)) {
	next := make(chan Person)
	var crowd sync.WaitGroup
	for range driverWorkers {
		crowd.Go(func() {
			for who := range next {
				act(who)
			}
		})
	}
	for _, who := range people {
		next <- who
	}
	close(next)
	crowd.Wait()
}

// arrive is the first act: follow, look around, decide.
func (p *Platform) arrive(ctx context.Context, s Scenario, who Person, home *url.URL) error {
	steps := []struct {
		wanted bool
		do     func() bool
	}{
		{true, func() bool { return p.Follow(ctx, who.index) }},
		{who.Scan, func() bool { return p.Scan(ctx, who.index, boothScene) }},
		{who.Tea, func() bool { return p.Click(ctx, who.index, teaKey) }},
		{who.Pricing, func() bool { return p.Click(ctx, who.index, pricingKey) }},
		{who.Message, func() bool { return p.Write(ctx, who.index, smallTalk) }},
	}
	for _, step := range steps {
		if step.wanted && !step.do() {
			return errors.Join(errCallback, ctx.Err())
		}
	}
	if who.Role == RoleSilent {
		return nil
	}
	if err := p.decide(ctx, who, home); err != nil {
		return err
	}
	if who.Popup && !p.Answer(ctx, who.index, s.TemplateID, true) {
		return errors.Join(errCallback, ctx.Err())
	}
	return nil
}

// decide visits the consent page; a page that does not open is opened again, as
// people do, but a form is never posted twice.
func (p *Platform) decide(ctx context.Context, who Person, home *url.URL) error {
	var err error
	for attempt := range pageAttempts {
		if attempt > 0 {
			if wait := p.clock.Sleep(ctx, pagePause); wait != nil {
				return wait
			}
		}
		err = p.newBrowser(who.index, home).consent(ctx, who.Age, who.Grants)
		if !errors.Is(err, errPage) {
			return err
		}
	}
	return err
}

// change is the second act of those who change their minds.
func (p *Platform) change(ctx context.Context, who Person) error {
	taken := false
	if who.Role == RoleWithdraw {
		taken = p.Write(ctx, who.index, withdrawWord)
	} else {
		taken = p.Unfollow(ctx, who.index)
	}
	if !taken {
		return errors.Join(errCallback, ctx.Err())
	}
	return nil
}
