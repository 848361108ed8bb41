package worker

import (
	"log/slog"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/runner"
)

func TestTroubleLowersConcurrencyAndRecovers(t *testing.T) {
	x := newBreaker()
	for range 16 {
		if !x.begin() {
			t.Fatal("a call may not begin")
		}
	}
	first := x.unavailable(itemID{"s", 1})
	if second := x.unavailable(itemID{"s", 2}); first.rest != firstRest || first.row != 1 || second != (verdict{}) {
		t.Errorf("got %+v, then %+v", first, second)
	}
	if !x.rests() || x.begin() || x.limit != 8 {
		t.Errorf("rests: %v, limit %d", x.rests(), x.limit)
	}
	for range 16 {
		x.end(0, 0)
	}
	x.until.Store(1)
	for range recovery {
		if !x.begin() {
			t.Fatal("a call may not begin after the rest")
		}
		x.end(1, 0)
	}
	if x.limit != 9 || x.restsInRow != 0 {
		t.Errorf("limit %d, row %d", x.limit, x.restsInRow)
	}
}

func TestTroubleRestsLonger(t *testing.T) {
	x := newBreaker()
	var last verdict
	for range 20 {
		x.until.Store(1)
		last = x.unavailable(itemID{"s", 1})
	}
	if last.rest != longestRest || last.row != 20 || last.blamed {
		t.Errorf("got %+v", last)
	}
}

func TestTroubleBlamesAnItem(t *testing.T) {
	x := newBreaker()
	for i := range maxBlame {
		if v := x.unavailable(itemID{"s", 1}); v.blamed != (i == maxBlame-1) {
			t.Errorf("%d: %+v", i, v)
		}
		if x.unavailable(itemID{"s", int64(100 + i)}).blamed {
			t.Error("another item is blamed")
		}
		x.calls++
		x.end(1-min(i, 1), 0)
	}
	for i := range 3 * maxBlamed {
		x.unavailable(itemID{"s", int64(1000 + i)})
	}
	if len(x.items) > maxBlamed {
		t.Errorf("%d items are kept", len(x.items))
	}
}

func TestTroubleAloneTriesOneCallAtATime(t *testing.T) {
	x := newBreaker()
	call := func(failed int) time.Duration {
		t.Helper()
		if !x.begin() {
			t.Fatal("a call may not begin")
		}
		return x.end(1, failed)
	}
	call(0)
	for range maxFailing - 1 {
		call(1)
	}
	if v := x.succeedsElsewhere(); v != (verdict{}) || x.rests() {
		t.Errorf("after %d calls that failed: %+v", maxFailing-1, v)
	}
	call(1)
	if v := x.succeedsElsewhere(); v.rest != firstRest || !v.warn || !x.rests() || x.limit != 1 {
		t.Errorf("after %d calls that failed: %+v, limit %d", maxFailing, v, x.limit)
	}
	if v := x.succeedsElsewhere(); v != (verdict{}) {
		t.Errorf("during the rest: %+v", v)
	}
	x.until.Store(1)
	if rest := call(1); rest != 2*firstRest || !x.rests() {
		t.Errorf("a trial that failed while others succeed: a rest of %v", rest)
	}
	x.until.Store(1)
	if rest := call(1); rest != 0 || x.rests() || x.limit != 0 {
		t.Errorf("a trial that failed while no other worker succeeds: a rest of %v, limit %d", rest, x.limit)
	}
	if v := x.succeedsElsewhere(); v.rest != firstRest || x.limit != 1 {
		t.Errorf("another worker succeeds again: %+v, limit %d", v, x.limit)
	}
	x.until.Store(1)
	if rest := call(0); rest != 0 || x.rests() || x.limit != 0 {
		t.Errorf("a trial that succeeded: a rest of %v, limit %d", rest, x.limit)
	}
	if v := x.succeedsElsewhere(); v != (verdict{}) {
		t.Errorf("after a success: %+v", v)
	}
}

func TestCallsLeftBehindAreCounted(t *testing.T) {
	r := &route{function: &runner.Function{Name: "deaf"}, breaker: newBreaker()}
	w := &Worker{}
	h := &slot{session: &session{worker: w, log: slog.New(slog.DiscardHandler)}, route: r}
	h.now.open(t.Context())
	defer h.now.close()
	h.now.begin(r, batch.Batch{Source: "s", N: 1}, nil, 1)
	first, second := h.stuck(), h.stuck()
	if n, all := r.breaker.left.Load(), w.counts.left.Load(); n != 2 || all != 2 {
		t.Errorf("%d calls of the function and %d of the worker are left behind, not 2", n, all)
	}
	first()
	second()
	if n, all := r.breaker.left.Load(), w.counts.left.Load(); n != 0 || all != 0 {
		t.Errorf("%d calls of the function and %d of the worker are left behind after both have returned", n, all)
	}
}
