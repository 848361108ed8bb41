package broker

import (
	"sync/atomic"
	"time"
)

// maxClockCall is the longest call whose reply sets a clock: the time in it is that of its middle.
const maxClockCall = time.Second

// A clock estimates the time of Redis by that of this process.
type clock struct {
	ahead atomic.Int64 // ns by which the time of Redis is ahead
}

// set takes the time of Redis from the reply of a call that began at some time and has just ended.
func (k *clock) set(ms int64, began time.Time) {
	took := time.Since(began)
	if ms <= 0 || took > maxClockCall {
		return
	}
	k.ahead.Store(int64(time.UnixMilli(ms).Sub(began.Add(took / 2).Round(0))))
}

// Now returns the time of Redis as estimated at the last heartbeat of this process, or its own time
// before the first one. It calls no server. It is off by half a round trip at most, or more after a
// clock was set.
func (c *Client) Now() time.Time { return time.Now().Round(0).Add(time.Duration(c.clock.ahead.Load())) }
