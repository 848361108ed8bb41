package worker

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	us = float64(time.Microsecond)
	ms = float64(time.Millisecond)
)

// A simulated machine has slots on which calls cost what a function says.
type simulated struct {
	costModel
	cost  func(items float64) float64 // ns
	noise float64                     // the standard deviation of the logarithm of a call's time
	load  func(round int) float64     // how many times slower the machine is
	rng   *rand.Rand
	// Totals of all calls, without load.
	items, spent float64
}

const simulatedSlots = 4

// round makes a call in each slot, and returns their sizes.
func (s *simulated) round(i int) (sizes []int) {
	for running := range simulatedSlots {
		sizes = append(sizes, s.next(running))
		s.begun++
	}
	for _, n := range sizes {
		spent := s.cost(float64(n)) * math.Exp(s.rng.NormFloat64()*s.noise)
		s.items, s.spent = s.items+float64(n), s.spent+spent+float64(callOverhead)
		s.learn(time.Duration(spent*s.load(i)), n)
	}
	return sizes
}

// best returns the highest items a ns of calls of one size.
func (s *simulated) best() (best float64) {
	for k := range maxClass + 1 {
		n := math.Exp2(float64(k))
		if spent := s.cost(n); spent <= float64(callTime) {
			best = max(best, n/(spent+float64(callOverhead)))
		}
	}
	return best
}

func line(start, item float64) func(float64) float64 {
	return func(n float64) float64 { return start + item*n }
}

func steady(int) float64 { return 1 }

// comesAndGoes is a load of ten times the processors in every second tenth round.
func comesAndGoes(round int) float64 {
	if round/10%2 == 1 {
		return 10
	}
	return 1
}

// The model finds the size of calls for any cost of a call and of an item, with calls that take
// twice as long at random, and on a machine with a changing load.
func TestCallSizeBringsNearlyTheMostItems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cost        func(float64) float64
		least, most int // of the size that is found
	}{
		"a process for short lines":    {line(3*ms, 0.3*us), 16 << 10, 64 << 10},
		"a dear start":                 {line(300*ms, 5*us), 16 << 10, 64 << 10},
		"a call that costs the same":   {line(50*ms, 0), 32 << 10, 64 << 10},
		"a start and dear items":       {line(20*ms, ms), 32, 4 << 10},
		"cheap items without a start":  {line(0, us), 2 << 10, 64 << 10},
		"dear items without a start":   {line(0, 50*ms), 1, 64},
		"items that cost their square": {func(n float64) float64 { return 10*ms + 10*us*n*n }, 16, 128},
		"a knee": {func(n float64) float64 {
			return 30*ms + max(0, n-600)*ms
		}, 256, 1024},
	} {
		for _, noise := range []float64{0.02, 0.3} {
			for when, load := range map[string]func(int) float64{"quiet": steady, "busy at times": comesAndGoes} {
				s := simulated{cost: c.cost, noise: noise, load: load, rng: rand.New(rand.NewPCG(1, 2))}
				for i := range 100 {
					s.round(i)
				}
				s.items, s.spent = 0, 0
				for i := range 400 {
					s.round(100 + i)
				}
				if got := s.items / s.spent; got < 0.75*s.best() {
					t.Errorf("%s, noise %v, %s: calls bring %.2f of the items that the best size brings", name, noise, when, got/s.best())
				}
				if size := 1 << s.at; size < c.least || size > c.most {
					t.Errorf("%s, noise %v, %s: calls of %d items, not of %d to %d", name, noise, when, size, c.least, c.most)
				}
			}
		}
	}
}

// The rounds before the size is known cost as much as later ones, so they are few.
func TestADearStartReachesThousandsOfItemsInTheThirdRound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		s := simulated{cost: line(300*ms, 20*us), noise: 0.05, load: steady, rng: rand.New(rand.NewPCG(seed, 1))}
		s.round(0)
		s.round(1)
		if sizes := s.round(2); sizes[0] < 2000 {
			t.Errorf("seed %d: the third round has calls of %d items", seed, sizes)
		}
	}
}

// A new load does not change a size that was found before.
func TestLoadChangesNoCallSize(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		s := simulated{cost: line(20*ms, 100*us), noise: 0.2, load: steady, rng: rand.New(rand.NewPCG(seed, 1))}
		for i := range 100 {
			s.round(i)
		}
		quiet := 1 << s.at
		s.load = func(int) float64 { return 10 }
		for i := range 100 {
			s.round(i)
		}
		if busy := 1 << s.at; busy < quiet/4 || busy > quiet*4 {
			t.Errorf("seed %d: calls of %d items became calls of %d", seed, quiet, busy)
		}
	}
}

// Producers are told a size late rather than wrong: entries that are too small cost more than
// entries that are too large.
func TestProducersAreToldASizeThatWasFound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		s := simulated{cost: line(10*ms, us), noise: 0.5, load: steady, rng: rand.New(rand.NewPCG(seed, 1))}
		for i := range 50 {
			s.round(i)
			if told := s.settled(); 0 < told && told < 256 {
				t.Fatalf("seed %d: calls of %d items in round %d", seed, told, i)
			}
		}
		if s.settled() == 0 {
			t.Errorf("seed %d: producers know nothing after 50 rounds", seed)
		}
	}
}
