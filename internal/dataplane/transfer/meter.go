package transfer

import (
	"errors"
	"time"
)

// errSize ends a transfer that would write more than it may.
var errSize = errors.New("the next part is beyond the limit of bytes")

// meter keeps a transfer within its limits.
type meter struct {
	limits  Limits
	written int64 // bytes, by all Jobs of the transfer
}

// take adds a part, if there is room for the whole of it.
func (m *meter) take(size int) bool {
	if m.limits.Bytes > 0 && m.written+int64(size) > m.limits.Bytes {
		return false
	}
	m.written += int64(size)
	return true
}

// pause is how long to wait after a part, so that it took as long as the rate asks for.
func (m *meter) pause(size int, took time.Duration) time.Duration {
	if m.limits.BytesPerSecond == 0 {
		return 0
	}
	whole := time.Duration(float64(size) / float64(m.limits.BytesPerSecond) * float64(time.Second))
	return max(0, whole-took)
}
