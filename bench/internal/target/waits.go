package target

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func waitTargets() []Target {
	return []Target{
		{Name: "1ms", What: "functions of 1 ms on 8 slots, of 8,000 a second", Want: 0.95, Unit: "x", measure: milliseconds},
		{Name: "mixed", What: "1 of 100 takes 100 ms, the rest 1 us, of the ideal", Want: 0.9, Unit: "x", measure: mixed},
		{Name: "sleep", What: "8 items of 1 s on 8 slots", Want: 1.2, Most: true, Unit: "s", measure: seconds},
		{Name: "jump", What: "from 1 us to 50 ms in mid-stream, settled after", Want: 3, Most: true, Unit: "s", measure: jump},
	}
}

// waiting is the time of a function for its i-th item.
type waiting func(ctx context.Context, i int) error

// asleep sleeps for cost(i).
func asleep(cost func(i int) time.Duration) waiting {
	return func(ctx context.Context, i int) error { return flow.Cost(ctx, cost(i)) }
}

// paced runs n items through hands slots that call wait for each, and returns the duration.
func paced(ctx context.Context, r *run, hands, n int, wait waiting, came func()) (took time.Duration, err error) {
	f := workers.Define("waiting", func(ctx context.Context, i int) (int, error) { return i, wait(ctx, i) })
	err = r.Fresh(ctx, hands, []workers.Function{f}, func(ctx context.Context, ex *executor.Executor) error {
		took, err = flow.Flow[int]{N: n, Item: flow.Number, Check: flow.SameNumber, Stages: []workers.Func[int, int]{f}}.On(ctx, ex, came)
		return err
	})
	return took, err
}

// plain does the same with goroutines and a channel, which shows the limit of this machine's
// sleeps.
func plain(ctx context.Context, hands, n int, wait waiting) time.Duration {
	in := make(chan int, work.Capacity)
	begin := time.Now()
	go work.Feed(in, n)
	var group sync.WaitGroup
	for range hands {
		group.Go(func() {
			for i := range in {
				if wait(ctx, i) != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return time.Since(begin)
}

// beside runs paced and plain in turns.
func beside(ctx context.Context, r *run, hands, n int, wait waiting) (ours, theirs float64, err error) {
	medians, err := r.Turns(
		func() (float64, error) {
			took, err := paced(ctx, r, hands, n, wait, func() {})
			return took.Seconds(), err
		},
		func() (float64, error) { return plain(ctx, hands, n, wait).Seconds(), nil },
	)
	if err != nil {
		return 0, 0, err
	}
	return medians[0], medians[1], nil
}

// mixed has one slow item in each hundred, at an irregular place. The ideal is the total work
// divided by the slots.
func mixed(ctx context.Context, r *run) (float64, string, error) {
	const hands, hundreds = 32, 1280
	cost := func(i int) time.Duration {
		if i%100 == (i/100)*37%100 {
			return 100 * time.Millisecond
		}
		return time.Microsecond
	}
	const ideal = hundreds * (0.1 + 99e-6) / hands
	took, bare, err := beside(ctx, r, hands, 100*hundreds, asleep(cost))
	return ideal / took, fmt.Sprintf("%d items on %d hands: ideal %.2f s, goroutines and a channel %.2f s", 100*hundreds, hands, ideal, bare), err
}

func seconds(ctx context.Context, r *run) (float64, string, error) {
	medians, err := r.Turns(func() (float64, error) {
		took, err := paced(ctx, r, 8, 8, asleep(func(int) time.Duration { return time.Second }), func() {})
		return took.Seconds(), err
	})
	if err != nil {
		return 0, "", err
	}
	return medians[0], "", nil
}

// jump evaluates the results after the jump: settled is the time until each further second yields
// 0.9 of the capacity of the slots.
func jump(ctx context.Context, r *run) (float64, string, error) {
	const hands, quick, slow, perSecond = 8, 300_000, 1200, 8 * 20
	medians, err := r.Turns(func() (float64, error) {
		var once sync.Once
		var begin time.Time
		var results []time.Time
		_, err := paced(ctx, r, hands, quick+slow, asleep(func(i int) time.Duration {
			if i < quick {
				return time.Microsecond
			}
			once.Do(func() { begin = time.Now() })
			return 50 * time.Millisecond
		}), func() { results = append(results, time.Now()) })
		if err != nil {
			return 0, err
		}
		return settled(begin, results[quick:], 0.9*perSecond).Seconds(), nil
	})
	if err != nil {
		return 0, "", err
	}
	return medians[0], fmt.Sprintf("from the first dear call on; %d dear items on %d hands, so %d a second at best", slow, hands, perSecond), nil
}

// settled returns the time from begin until each further full second yields at least want results.
func settled(begin time.Time, results []time.Time, want float64) time.Duration {
	last := results[len(results)-1].Add(-time.Second)
	const step = 50 * time.Millisecond
	from, to := 0, 0 // of the window, as indexes into results
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
