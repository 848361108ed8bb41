//go:build !race

package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

var (
	stride = flag.Int("stride", 3, "one fault at every so many requests")
	random = flag.Int("schedules", 1500, "so many schedules of two or three faults")
	seed   = flag.Uint64("seed", 0, "only the schedule of this seed")
)

func TestMain(m *testing.M) {
	debug.SetGCPercent(800) // a schedule allocates much and keeps little
	// The logs of thousands of schedules would hide the failed one, which has its trace.
	broker.Quiet()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	testkit.Main(m)
}

// Without a fault no item runs twice and no key is left. The size of calls depends on processor
// time, which is real in a bubble too: on a busy machine a run may have small calls only, so the
// test repeats the run until one has a large call.
func TestNoFault(t *testing.T) {
	const runs = 50
	for _, opts := range [][]executor.MapOption{nil, apart} {
		largest := 0
		for i := 0; i == 0 || i < runs && largest < 3; i++ {
			r := simulate(t, nil, trio, opts...)
			if err := r.check(); err != nil {
				t.Fatalf("%v\n%s", err, r.world.last())
			}
			largest = max(largest, r.calls.largest)
			t.Logf("%d requests", r.world.requests)
		}
		if largest < 3 {
			t.Errorf("no call of %d runs had more than %d items", runs, largest)
		}
	}
}

// last returns the end of the trace.
func (w *world) last() string {
	return strings.Join(w.trace[max(0, len(w.trace)-80):], "\n")
}

// One fault at each request of a flow.
func TestEachFaultAtEachRequest(t *testing.T) {
	t.Parallel()
	n := simulate(t, nil, pair, apart...).world.requests
	for _, f := range faults {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for at := 0; at < n; at += *stride {
				r := simulate(t, map[int]fault{at: f}, pair, apart...)
				if err := r.check(); err != nil {
					t.Fatalf("at request %d: %v\n%s", at, err, r.world.last())
				}
			}
		})
	}
}

// One of a pair of workers may die, and two of a trio.
const (
	pair = 2
	trio = 3
)

// Two or three faults; at least one worker survives.
func TestSomeFaultsTogether(t *testing.T) {
	t.Parallel()
	requests := map[int]int{pair: simulate(t, nil, pair).world.requests, trio: simulate(t, nil, trio).world.requests}
	const lanes = 4
	for lane := range uint64(lanes) {
		t.Run(fmt.Sprint(lane), func(t *testing.T) {
			t.Parallel()
			for s := lane + 1; s <= uint64(*random); s += lanes {
				if *seed > 0 {
					s = *seed
				}
				var opts []executor.MapOption
				if s%2 == 0 {
					opts = apart
				}
				fleet := pair
				if s%8 >= 6 {
					fleet = trio
				}
				r := simulate(t, draw(s, requests[fleet], fleet-1), fleet, opts...)
				if err := r.check(); err != nil {
					t.Fatalf("%v\nto repeat: go test ./integration/sim -run 'Together/%d' -seed %d\n%s", err, lane, s, r.world.last())
				}
				if *seed > 0 {
					return
				}
			}
		})
	}
}

func draw(seed uint64, requests, maxEnds int) map[int]fault {
	r := rand.New(rand.NewPCG(seed, 1))
	plan := map[int]fault{}
	ends := 0
	for range 2 + r.IntN(2) {
		f := faults[r.IntN(len(faults))]
		if strings.HasPrefix(f.name, "dies") {
			if ends++; ends > maxEnds {
				continue
			}
		}
		plan[r.IntN(requests)] = f
	}
	return plan
}
