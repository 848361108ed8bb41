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

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A test binary with part in its environment plays that role.
const part = "DQBRIDGE_CHAOS_PART"

// A role is the task of a process in a flow.
type role struct {
	Name   string // work, produce or gather; bridge and futures are both ends
	URL    string
	Ledger string
	Lease  time.Duration
	Slots  int    // of a worker
	Queue  string // the named queue; "" for a bridge
	Source uint16
	Items  int64 // at least so many, then until SIGTERM
	Rate   int64 // items per second
	Mortal bool  // a producer with a source that is not durable
	Manual bool  // a gather that acknowledges an item after recording it
	Apart  bool  // the two stages are not fused
	Max    int   // bound of the items in each queue; 0: none
}

// first and second are references to the functions; the workers define them.
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
	go func() { // the pipe closes when the test is gone
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
	ctx = context.WithoutCancel(ctx) // the signal ends the items, and then the stream ends normally
	for {
		ex, err := executor.New(ctx, r.URL, executor.Lease(r.Lease), executor.Logger(log))
		if errors.Is(err, executor.ErrUnreachable) {
			continue // as a supervisor would restart it
		}
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
		case "futures":
			err = r.futures(ctx, ex, b, end)
		}
		err = errors.Join(err, ex.Close())
		if !errors.Is(err, executor.ErrFenced) || r.Name != "produce" {
			return err
		}
		log.Warn("taken for dead: going on as its own successor", "err", err)
	}
}

// Some items are slow, so that workers mostly hold items when they are interrupted.
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
	for {
		w, err := workers.New(r.URL, workers.Concurrency(r.Slots), workers.Lease(r.Lease), workers.Logger(log), workers.Functions(
			define("first", 0, twiceAndOne, origin),
			define("second", 1, negative, func(x int64) (uint16, int64) { return origin((x - 1) / 2) }),
		))
		if err == nil {
			err = w.Run(ctx)
		}
		if !errors.Is(err, executor.ErrUnreachable) || ctx.Err() != nil {
			return err
		}
	}
}
