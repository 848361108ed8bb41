package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/work"
)

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
