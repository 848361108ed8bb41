package worker

import (
	"math"
	"testing"
)

func TestALimiterCountsAlsoWithoutALimit(t *testing.T) {
	t.Parallel()
	var none *limiter
	if !none.begin() || none.limited() || none.free() != math.MaxInt {
		t.Error("the nil limiter has a bound")
	}
	none.force()
	none.end()
	l := new(limiter)
	for range 3 {
		if !l.begin() {
			t.Fatal("a limiter without a limit refuses a call")
		}
	}
	l.limit.Store(2) // while three calls run
	if l.begin() || l.free() != 0 {
		t.Error("a call begins above a lowered limit")
	}
	l.end()
	l.end()
	if l.free() != 1 || !l.begin() || l.begin() {
		t.Errorf("%d of 2 permits are free after two of three calls have ended and one has begun", l.free())
	}
	l.force()
	if l.end(); l.free() != 0 {
		t.Error("a permit above the limit was lost")
	}
}

func TestAGateIsResized(t *testing.T) {
	t.Parallel()
	g := newGate(1)
	g.enter()
	entered := make(chan struct{})
	go func() {
		g.enter()
		g.enter()
		close(entered)
	}()
	g.resize(3)
	<-entered
	if g.resize(2); g.free() != -1 {
		t.Errorf("%d of 2 are free with 3 inside", g.free())
	}
	for range 3 {
		g.exit()
	}
	if g.free() != 2 {
		t.Errorf("%d of 2 are free", g.free())
	}
}
