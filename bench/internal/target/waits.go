package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
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
	d, err := measure.Dqbridge[T](r.Runner, slots).Run(ctx, f)
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

// milliseconds has functions that block a thread for a millisecond, like a call of C or a file. The
// note has functions with a timer of the Go runtime, which is late if messages arrive.
func milliseconds(ctx context.Context, r *run) (float64, string, error) {
	const slots, n = 8, 16_000
	share := func(seconds float64) float64 { return n / seconds / (1000 * slots) }
	exact := func(context.Context, int) error { return flow.Hold(time.Millisecond) }
	var spent atomic.Int64
	timer := func(ctx context.Context, _ int) error {
		begin := time.Now()
		defer func() { spent.Add(int64(time.Since(begin))) }()
		return work.Pause(ctx, time.Millisecond)
	}
	with := func(w waiting) (float64, error) {
		seconds, err := took(ctx, r, slots, through(n, w))
		return share(seconds), err
	}
	without := func(w waiting) float64 { return share(plain(ctx, slots, n, w)) }
	var inCalls float64
	medians, err := r.Turns(
		func() (float64, error) { return with(exact) },
		func() (float64, error) { return without(exact), nil },
		func() (float64, error) {
			spent.Store(0)
			reached, err := with(timer)
			inCalls = reached * time.Duration(spent.Load()).Seconds() * 1000 / n
			return reached, err
		},
		func() (float64, error) { return without(timer), nil },
		func() (reached float64, err error) {
			err = withMessages(ctx, r, func() { reached = without(timer) })
			return reached, err
		})
	return medians[0], fmt.Sprintf("goroutines and a channel %.3f; where the function sleeps with a timer %.3f, with the slots in calls for %.3f of the time, goroutines and a channel %.3f, and %.3f in a process to which messages come",
		medians[1], medians[2], inCalls, medians[3], medians[4]), err
}

// TalkerRole is the role of a process that publishes messages.
const TalkerRole = "talker"

// talk is the argument of TalkerRole.
type talk struct{ Address, Channel string }

// Talk publishes about 1,500 messages a second, at irregular times.
func Talk(ctx context.Context, args json.RawMessage, ready func(string)) (n int, err error) {
	var t talk
	if err := json.Unmarshal(args, &t); err != nil {
		return 0, err
	}
	client := redis.NewClient(&redis.Options{Addr: t.Address})
	defer func() { err = errors.Join(err, client.Close()) }()
	ready("")
	for ; ctx.Err() == nil; n++ {
		if err := client.Publish(ctx, t.Channel, "").Err(); err != nil {
			return n, err
		}
		if err := flow.Hold(rand.N(time.Millisecond)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// withMessages runs f while this process receives messages.
func withMessages(ctx context.Context, r *run, f func()) (err error) {
	t := talk{r.Server.Address, "talk"}
	client := r.Server.Open()
	defer func() { err = errors.Join(err, client.Close()) }()
	messages := client.Subscribe(ctx, t.Channel)
	defer func() { err = errors.Join(err, messages.Close()) }()
	talker, err := process.Start(ctx, TalkerRole, t)
	if err != nil {
		return err
	}
	if err := talker.Go(); err != nil {
		return err
	}
	if _, err := messages.ReceiveMessage(ctx); err != nil {
		return err
	}
	received := messages.Channel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-received:
		case <-done:
			_, err := talker.Stop()
			return err
		}
	}
}

// slowCalls compares the batch size that a worker finds for calls of 50 ms with fixed sizes.
func slowCalls(ctx context.Context, r *run) (float64, string, error) {
	fixed := []int{16384, 32768, 65536} // smaller sizes have lower rates
	runs := []func() (float64, error){func() (float64, error) { return callRate(ctx) }}
	for _, size := range fixed {
		runs = append(runs, func() (float64, error) { return callRate(ctx, workers.BatchSize(size, size)) })
	}
	medians, err := r.Turns(runs...)
	return medians[0] / slices.Max(medians[1:]), fmt.Sprintf("%.0f items/s; calls of %d items bring %.0f", medians[0], fixed, medians[1:]), err
}

// callRate is the rate of a batch function in 4 slots, on the embedded broker.
func callRate(ctx context.Context, opts ...workers.DefineOption) (rate float64, err error) {
	const n, slots = 10_000_000, 4
	slow := workers.DefineBatch("slow", func(ctx context.Context, items []int) ([]int, error) {
		return items, work.Pause(ctx, 50*time.Millisecond)
	}, opts...)
	ex, err := executor.New(ctx, "", executor.Concurrency(slots))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()
	if err := ex.Register(slow); err != nil {
		return 0, err
	}
	begin := time.Now()
	in, err := bridge.ScatterSeq(ctx, ex, func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
	if err != nil {
		return 0, err
	}
	out, err := executor.Map(ctx, slow, in)
	if err != nil {
		return 0, err
	}
	got := 0
	for _, err := range bridge.All(ctx, out) {
		if err != nil {
			return 0, err
		}
		got++
	}
	if got != n {
		return 0, fmt.Errorf("%d results of %d", got, n)
	}
	return n / time.Since(begin).Seconds(), nil
}
