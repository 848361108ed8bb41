package broker

import (
	"strconv"
	"strings"
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
func (c *Client) Now() time.Time { return c.clock.at(time.Now()) }

// at returns the time of Redis at a time of this process.
func (k *clock) at(own time.Time) time.Time { return own.Round(0).Add(time.Duration(k.ahead.Load())) }

// Wait returns for how long an entry had been in its stream at a time of this process: since it was
// added, or came back. It reads no clock, and is as exact as Now. It is 0 if the id of the entry has
// no time.
func (c *Client) Wait(e Ref, at time.Time) time.Duration {
	text, _, _ := strings.Cut(e.ID, "-")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil || ms <= 0 {
		return 0
	}
	return max(0, c.clock.at(at).Sub(time.UnixMilli(ms)))
}
