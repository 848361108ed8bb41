package target

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/workers"
)

func waitTargets() []Target {
	return []Target{
		{Name: "1ms", What: "functions of 1 ms on 8 slots, of 8,000 a second", Want: 0.95, Unit: "x", measure: milliseconds},
		{Name: "mixed", What: "1 of 100 takes 100 ms, the rest 1 us, of the ideal", Want: 0.9, Unit: "x", measure: mixed},
		{Name: "sleep", What: "8 items of 1 s on 8 slots", Want: 1.2, Most: true, Unit: "s", measure: seconds},
		{Name: "jump", What: "from 1 us to 50 ms in mid-stream, settled after", Want: 3, Most: true, Unit: "s", measure: jump},
		{Name: "slots", What: "20,000 items of 2 KB and 20 ms in 100 slots, against 100 goroutines", Want: 1.1, Most: true, Unit: "x", measure: manySlots},
		{Name: "slots-busy", What: "the same beside 8 busy processes", Want: 1.1, Most: true, Unit: "x", measure: busy(manySlots)},
	}
}

// A waiting is the function for item i.
type waiting func(ctx context.Context, i int) error

// asleep takes the time of cost.
func asleep(cost func(i int) time.Duration) waiting {
	return func(ctx context.Context, i int) error { return flow.Cost(ctx, cost(i)) }
}

// through is a flow of n ints through wait.
func through(n int, wait waiting) flow.Flow[int] {
	f := workers.Define("waiting", func(ctx context.Context, i int) (int, error) { return i, wait(ctx, i) })
	return flow.Numbers(n, flow.Number, f)
}

// took is the time of a flow in seconds.
func took[T any](ctx context.Context, r *run, slots int, f flow.Flow[T]) (float64, error) {
	d, err := measure.Dqbridge[T](r.Lab, slots).Run(ctx, f)
	return d.Seconds(), err
}

// plain is the time in seconds with goroutines and a channel instead of dqbridge. It shows how exact
// the sleeps of this machine are.
func plain(ctx context.Context, slots, n int, wait waiting) float64 {
	in := make(chan int, work.Capacity)
	begin := time.Now()
	go work.Feed(in, n)
	var group sync.WaitGroup
	for range slots {
		group.Go(func() {
			for i := range in {
				if wait(ctx, i) != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(begin).Seconds()
}

// mixed has one slow item in each hundred, at an irregular position. The ideal is the sum of all
// costs divided by the slots.
func mixed(ctx context.Context, r *run) (float64, string, error) {
	const slots, hundreds = 32, 1280
	const ideal = hundreds * (0.1 + 99e-6) / slots
	wait := asleep(func(i int) time.Duration {
		if i%100 == (i/100)*37%100 {
			return 100 * time.Millisecond
		}
		return time.Microsecond
	})
	medians, err := r.Turns(
		func() (float64, error) { return took(ctx, r, slots, through(100*hundreds, wait)) },
		func() (float64, error) { return plain(ctx, slots, 100*hundreds, wait), nil },
	)
	return ideal / medians[0], fmt.Sprintf("%d items on %d slots: ideal %.2f s, goroutines and a channel %.2f s",
		100*hundreds, slots, ideal, medians[1]), err
}

func seconds(ctx context.Context, r *run) (float64, string, error) {
	wait := asleep(func(int) time.Duration { return time.Second })
	medians, err := r.Turns(func() (float64, error) { return took(ctx, r, 8, through(8, wait)) })
	return medians[0], "", err
}

// jump is the time from the jump until the rate is settled: from then on, every second has at least
// 0.9 of the results that the slots allow.
func jump(ctx context.Context, r *run) (float64, string, error) {
	const slots, quick, slow, perSecond = 8, 300_000, 1200, 8 * 20
	medians, err := r.Turns(func() (float64, error) {
		var once sync.Once
		var begin time.Time
		var results []time.Time
		f := through(quick+slow, asleep(func(i int) time.Duration {
			if i < quick {
				return time.Microsecond
			}
			once.Do(func() { begin = time.Now() })
			return 50 * time.Millisecond
		}))
		check := f.Check
		f.Check = func(i, v int) error {
			results = append(results, time.Now())
			return check(i, v)
		}
		if _, err := took(ctx, r, slots, f); err != nil {
			return 0, err
		}
		return settled(begin, results[quick:], 0.9*perSecond).Seconds(), nil
	})
	return medians[0], fmt.Sprintf("from the first slow call on; %d slow items on %d slots, so %d a second at best", slow, slots, perSecond), err
}

// settled is the time from begin after which every full second has at least want results.
func settled(begin time.Time, results []time.Time, want float64) time.Duration {
	last := results[len(results)-1].Add(-time.Second)
	const step = 50 * time.Millisecond
	from, to := 0, 0 // of the second, in results
	after := time.Duration(0)
	for at := begin; at.Before(last); at = at.Add(step) {
		for from < len(results) && results[from].Before(at) {
			from++
		}
		for to < len(results) && results[to].Before(at.Add(time.Second)) {
			to++
		}
		if float64(to-from) < want {
			after = at.Add(step).Sub(begin)
		}
	}
	return after
}

// manySlots compares the time of a stage in this process with that of as many goroutines.
func manySlots(ctx context.Context, r *run) (float64, string, error) {
	const n, concurrent = 20_000, 100
	wait := asleep(func(int) time.Duration { return 20 * time.Millisecond })
	text := strings.Repeat("x", 2<<10)
	slow := workers.Define("slow", func(ctx context.Context, s string) (string, error) { return s, wait(ctx, 0) })
	f := flow.Flow[string]{
		N: n, Item: func(int) string { return text }, Stages: []workers.Func[string, string]{slow},
		Check: func(i int, s string) error {
			if s != text {
				return fmt.Errorf("result %d has %d bytes", i, len(s))
			}
			return nil
		},
	}
	medians, err := r.Turns(
		func() (float64, error) { return took(ctx, r, concurrent, f) },
		func() (float64, error) { return plain(ctx, concurrent, n, wait), nil },
	)
	return overSeconds(medians, err)
}

// overSeconds is the first of two times divided by the second one.
func overSeconds(medians []float64, err error) (float64, string, error) {
	return medians[0] / medians[1], fmt.Sprintf("%.2f s over %.2f s", medians[0], medians[1]), err
}
