package workers

import (
	"errors"
	"time"
)

// pauseFor is how long a worker calls no function after it found a reason for that.
const pauseFor = time.Second

// PauseIf has the worker call no function while reason returns an error, such as too little memory on its machine. Calls
// that have begun go on. Items for which none has begun go back for any worker, which counts no attempt. reason is
// called before calls of functions, by several goroutines at once, and should remember its answer for a while. The default
// is no such function.
func PauseIf(reason func() error) Option {
	return func(s *settings) error {
		if reason == nil {
			return errors.New("workers: PauseIf(nil): pass a function")
		}
		s.pauseIf = reason
		return nil
	}
}

// pauses reports whether no call may begin now.
func (h *slot) pauses(r *route) bool {
	if h.pauseIf == nil || h.pauseIf() == nil {
		return false
	}
	r.breaker.pause(pauseFor)
	for _, l := range h.all() {
		l.retry.in(pauseFor)
	}
	return true
}

// pause lets no call begin for a while.
func (t *breaker) pause(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until.Store(max(t.until.Load(), time.Now().Add(d).UnixNano()))
	t.freed.Broadcast()
}
