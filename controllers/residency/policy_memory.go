package residency

import (
	"maps"
	"sync"
)

// byPolicy remembers something of each policy from one reconciliation to the next. Nothing in
// it is needed after a restart.
type byPolicy[T any] struct {
	mu    sync.Mutex
	known map[string]T
}

func (m *byPolicy[T]) get(policy string) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.known[policy]
}

func (m *byPolicy[T]) put(policy string, v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = map[string]T{}
	}
	m.known[policy] = v
}

func (m *byPolicy[T]) forget(policy string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, policy)
}

func (m *byPolicy[T]) all() map[string]T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.known)
}
