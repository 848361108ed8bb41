package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A test binary that finds part in its environment plays that part.
const part = "DQBRIDGE_CHAOS_PART"

// A role is what a process of a flow is told.
type role struct {
	Name   string // work, produce, gather, or bridge: the last two in one
	URL    string
	Ledger string
	Lease  time.Duration
	Hands  int    // of a worker
	Queue  string // the named one; a bridge has none
	Source uint16
	Items  int64 // at least so many, then until SIGTERM
	Rate   int64 // items a second
	Mortal bool  // a producer whose source goes with it
	ByHand bool  // a gather that acknowledges what it has written down
	Max    int   // items that may wait in each queue, 0 for no bound
}

// first and second are the handles; a worker has the functions.
var (
	first  = workers.Remote[string, string]("first")
	second = workers.Remote[string, string]("second")
)

func TestMain(m *testing.M) {
	text := os.Getenv(part)
	if text == "" {
		testkit.Main(m)
	}
	var r role
	if err := errors.Join(json.Unmarshal([]byte(text), &r), r.play()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (r role) play() error {
	go func() { // the test is gone when its end of the pipe is
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	b, err := openBook(r.Ledger)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if r.Name == "work" {
		return r.work(ctx, b, log)
	}
	end := ctx.Done()
	ctx = context.WithoutCancel(ctx) // being told to stop ends the items, and then the stream ends by itself
	for {
		ex, err := executor.New(ctx, r.URL, executor.Lease(r.Lease), executor.Logger(log))
		if err != nil {
			return err
		}
		switch r.Name {
		case "produce":
			err = r.produce(ctx, ex, b, end)
		case "gather":
			err = r.gather(ctx, ex, b)
		case "bridge":
			err = r.bridge(ctx, ex, b, end)
		}
		err = errors.Join(err, ex.Close())
		if !errors.Is(err, executor.ErrFenced) || r.Name != "produce" {
			return err
		}
		log.Warn("taken for dead: going on as its own successor", "err", err)
	}
}

// Some items are slow, so that workers mostly have something in their hands.
const (
	slowOnes = 32
	slowness = 5 * time.Millisecond
)

func (r role) work(ctx context.Context, b *book, log *slog.Logger) error {
	define := func(name string, stage uint8, f func(int64) int64, origin func(int64) (uint16, int64)) workers.Function {
		return workers.Define(name, func(_ context.Context, s string) (string, error) {
			x, padding := split(s)
			source, offset := origin(x)
			b.write(record{event: ran, stage: stage, source: source, offset: offset})
			if offset%slowOnes == 0 {
				<-time.After(slowness)
			}
			return join(f(x), padding), nil
		})
	}
	w, err := workers.New(r.URL, workers.Concurrency(r.Hands), workers.Lease(r.Lease), workers.Logger(log), workers.Functions(
		define("first", 0, twiceAndOne, origin),
		define("second", 1, negative, func(x int64) (uint16, int64) { return origin((x - 1) / 2) }),
	))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// produce feeds a named queue until it is told to stop. It goes on where its
// predecessor has stopped.
func (r role) produce(ctx context.Context, ex *executor.Executor, b *book, end <-chan struct{}) error {
	in := make(chan string)
	var stored int64
	opts := []bridge.ScatterOption{bridge.Name(r.Queue)}
	if !r.Mortal {
		opts = append(opts, bridge.SourceName(fmt.Sprint("source-", r.Source)), bridge.Resume(&stored))
	}
	if _, err := bridge.Scatter(ctx, ex, in, r.scatterOptions(opts...)...); err != nil {
		return err
	}
	return r.feed(ctx, ex, b, in, stored, end)
}

func (r role) scatterOptions(opts ...bridge.ScatterOption) []bridge.ScatterOption {
	if r.Max > 0 {
		opts = append(opts, bridge.MaxSize(r.Max))
	}
	return opts
}

// feed returns when all is stored.
func (r role) feed(ctx context.Context, ex *executor.Executor, b *book, in chan<- string, stored int64, end <-chan struct{}) error {
	feeding, stop := context.WithCancel(ctx)
	fed := make(chan int64, 1)
	go func() { fed <- r.send(feeding, b, in, stored, end) }()
	err := ex.Drain(ctx)
	stop()
	if n := <-fed; err == nil {
		b.write(record{event: kept, source: r.Source, offset: n})
	}
	return err
}

// send sends numbered items from n on, at a rate, and returns the number behind
// the last.
func (r role) send(ctx context.Context, b *book, in chan<- string, n int64, end <-chan struct{}) int64 {
	const ticks = 200 // a second
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for told := false; !told || n < r.Items; {
		for range max(1, r.Rate/ticks) {
			b.write(record{event: intended, source: r.Source, offset: n})
			select {
			case in <- item(r.Source, n):
				n++
			case <-ctx.Done():
				return n
			}
		}
		select {
		case <-end:
			told, end = true, nil
		case <-tick.C:
		case <-ctx.Done():
			return n
		}
	}
	b.write(record{event: ended, source: r.Source, offset: n})
	close(in)
	return n
}

// gather takes the results of the named queue. It waits for the queue, and for
// the lease of a gather that has died.
func (r role) gather(ctx context.Context, ex *executor.Executor, b *book) error {
	for {
		q, err := executor.Open[string](ctx, ex, r.Queue)
		if err == nil {
			err = r.take(ctx, ex, b, q)
		}
		if !errors.Is(err, executor.ErrNoQueue) && !errors.Is(err, executor.ErrTaken) {
			return err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// take writes down what comes out of the flow.
func (r role) take(ctx context.Context, ex *executor.Executor, b *book, q *executor.Queue[string]) error {
	var bounds []executor.MapOption
	if r.Max > 0 {
		bounds = append(bounds, executor.MaxSize(r.Max))
	}
	q, err := executor.Map(ctx, first, q, bounds...)
	if err != nil {
		return err
	}
	if q, err = executor.Map(ctx, second, q, bounds...); err != nil {
		return err
	}
	var opts []bridge.GatherOption
	if r.ByHand {
		opts = append(opts, bridge.ManualAck())
	}
	out, err := bridge.Gather(ctx, q, opts...)
	if err != nil {
		return err
	}
	for result := range out {
		if result.Err != nil && !bridge.IsItem(result.Err) {
			b.write(record{event: broken})
			return result.Err
		}
		source, offset, ok := proves(result.Value)
		switch {
		case errors.Is(result.Err, executor.ErrAway):
			fmt.Fprintln(os.Stderr, result.Err) // a notice, no item
		case result.Err != nil:
			fmt.Fprintln(os.Stderr, result.Err)
			b.write(record{event: failed})
		case !ok:
			fmt.Fprintf(os.Stderr, "%.100q is the result of no item\n", result.Value)
			b.write(record{event: alien})
		default:
			b.write(record{event: got, source: source, offset: offset})
		}
		result.Ack()
	}
	b.write(record{event: closed})
	return nil
}

// bridge sends and takes, over queues without names.
func (r role) bridge(ctx context.Context, ex *executor.Executor, b *book, end <-chan struct{}) error {
	in := make(chan string)
	q, err := bridge.Scatter(ctx, ex, in, r.scatterOptions()...)
	if err != nil {
		return err
	}
	fed := make(chan error, 1)
	go func() { fed <- r.feed(ctx, ex, b, in, 0, end) }()
	return errors.Join(r.take(ctx, ex, b, q), <-fed)
}
