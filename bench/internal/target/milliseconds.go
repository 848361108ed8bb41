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
	"github.com/dqbridge/dqbridge/bench/internal/role"
)

// milliseconds has functions that block a thread for a millisecond, like a call of C or of a file
// system. Timers of the Go runtime are late, depending on other events in the process; the note
// measures that.
func milliseconds(ctx context.Context, r *run) (float64, string, error) {
	const hands, n = 8, 16_000
	exact := func(_ context.Context, _ int) error { return flow.Hold(time.Millisecond) }
	var spent atomic.Int64
	timer := func(ctx context.Context, _ int) error {
		begin := time.Now()
		defer func() { spent.Add(int64(time.Since(begin))) }()
		return flow.Pause(ctx, time.Millisecond)
	}
	rate := func(took time.Duration, err error) (float64, error) { return n / took.Seconds() / (1000 * hands), err }
	with := func(w waiting) func() (float64, error) {
		return func() (float64, error) { return rate(paced(ctx, r, hands, n, w, func() {})) }
	}
	without := func(w waiting) func() (float64, error) {
		return func() (float64, error) { return rate(plain(ctx, hands, n, w), nil) }
	}
	var inCalls float64
	medians, err := r.Turns(with(exact), without(exact),
		func() (float64, error) {
			spent.Store(0)
			reached, err := with(timer)()
			inCalls = reached * time.Duration(spent.Load()).Seconds() * 1000 / n
			return reached, err
		},
		without(timer),
		func() (reached float64, err error) {
			err = talkedTo(ctx, r, func() { reached, _ = without(timer)() })
			return reached, err
		})
	if err != nil {
		return 0, "", err
	}
	return medians[0], fmt.Sprintf("goroutines and a channel %.3f; where the function sleeps with a timer %.3f, with the slots in calls for %.3f of the time, goroutines and a channel %.3f, and %.3f in a process to which messages come",
		medians[1], medians[2], inCalls, medians[3], medians[4]), nil
}

// TalkerRole is the role of a process that sends messages.
const TalkerRole = "talker"

// talk configures a process that publishes some 1,500 messages per second, at irregular times.
type talk struct{ Address, Channel string }

// Talk runs TalkerRole.
func Talk(ctx context.Context, args json.RawMessage, ready func(string)) (told int, err error) {
	var t talk
	if err := json.Unmarshal(args, &t); err != nil {
		return 0, err
	}
	client := redis.NewClient(&redis.Options{Addr: t.Address})
	defer func() { err = errors.Join(err, client.Close()) }()
	ready("")
	for ; ctx.Err() == nil; told++ {
		if err := client.Publish(ctx, t.Channel, "").Err(); err != nil {
			return told, err
		}
		if err := flow.Hold(rand.N(time.Millisecond)); err != nil {
			return told, err
		}
	}
	return told, nil
}

// talkedTo runs f while this process receives messages.
func talkedTo(ctx context.Context, r *run, f func()) (err error) {
	t := talk{r.Server.Address, "talk"}
	client := r.Server.Open()
	defer func() { err = errors.Join(err, client.Close()) }()
	messages := client.Subscribe(ctx, t.Channel)
	defer func() { err = errors.Join(err, messages.Close()) }()
	talker, err := role.Start(ctx, TalkerRole, t)
	if err != nil {
		return err
	}
	if err := talker.Go(); err != nil {
		return err
	}
	if _, err := messages.ReceiveMessage(ctx); err != nil {
		return err
	}
	come := messages.Channel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	for {
		select {
		case <-come:
		case <-done:
			_, err := talker.Stop()
			return err
		}
	}
}
