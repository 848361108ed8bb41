package bridge

import "time"

// A linger lets the first item of a batch wait for more items. Without a time it has no effect.
type linger struct {
	time  time.Duration
	timer *time.Timer
	over  <-chan time.Time
	began bool
	ripe  bool // the time is over
}

func newLinger(d time.Duration) linger {
	l := linger{time: d}
	if d > 0 {
		l.timer = time.NewTimer(d)
		l.over = l.timer.C
		l.timer.Stop()
	}
	return l
}

// lingers tells whether to wait for more, and begins to.
func (l *linger) lingers() bool {
	if l.timer == nil || l.ripe {
		return false
	}
	if !l.began {
		l.began = true
		l.timer.Reset(l.time)
	}
	return true
}

// stop is called when no item waits any more.
func (l *linger) stop() {
	if l.began {
		l.timer.Stop()
		l.began, l.ripe = false, false
	}
}
