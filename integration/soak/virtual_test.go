package soak

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

var rounds = flag.Int("rounds", 4, "rounds of visits in virtual time, each with every kind of visit")

// A service runs while executors, workers, gathers, sources and functions come and go, are canceled
// and killed. At rest after the last round, Redis holds the same data as after the first one.
func TestYearInVirtualTime(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		raw := redis.NewClient(&redis.Options{Dialer: f.Dial, Protocol: 2, DisableIdentity: true})
		defer raw.Close()
		ex, _ := f.StartExecutor()
		y := &year{f: f, service: ex, raw: raw}
		if err := open(t.Context(), ex); err != nil {
			t.Fatal(err)
		}
		y.worker = f.StartWorker(all, workers.Concurrency(4))
		y.gather(t)
		y.round(t)
		before := y.rest(t)
		for range *rounds {
			y.round(t)
		}
		after := y.rest(t)
		for _, line := range after.changed(before, int64(y.n)) {
			t.Error(line)
		}
		t.Logf("%d visits; at rest %d keys, %d fields, %d members, %d consumers", y.n,
			after.total("keys"), after.total("fields"), after.total("members"), after.total("consumers"))
		if err := errors.Join(y.stop(), ex.Delete(t.Context(), results), ex.Delete(t.Context(), orders)); err != nil {
			t.Error(err)
		}
	})
}

// A year is a service with its visitors.
type year struct {
	f       *dqtest.Fleet
	service *executor.Executor
	raw     *redis.Client
	worker  *dqtest.Process
	n       int // number of visits

	gatherer *dqtest.Process
	cancel   context.CancelFunc
	ended    chan error
}

// round makes each kind of visit twice: once to its end, and once until it is killed. It replaces
// the worker and the gather, alternately by a normal end and by a kill.
func (y *year) round(t *testing.T) {
	t.Helper()
	for _, v := range visits {
		if err := v.run(t.Context(), y.service, y.n); err != nil {
			t.Errorf("visit %d of the service, %s: %v", y.n, v.name, err)
		}
		y.n++
		ex, process := y.f.StartExecutor()
		if err := v.run(t.Context(), ex, y.n); err != nil {
			t.Errorf("visit %d, %s: %v", y.n, v.name, err)
		}
		if y.n%3 == 0 {
			process.Kill()
		}
		if err := ex.Close(); err != nil && y.n%3 != 0 {
			t.Errorf("visit %d, %s: %v", y.n, v.name, err)
		}
		y.n++
		ex, process = y.f.StartExecutor()
		dying := make(chan struct{})
		go func() {
			defer close(dying)
			_ = v.run(t.Context(), ex, y.n) // it fails, or is done before
		}()
		<-time.After(time.Duration(y.n%7) * 20 * time.Millisecond)
		process.Kill()
		_ = ex.Close()
		<-dying
		y.n++
	}
	old := y.worker
	y.worker = y.f.StartWorker(all, workers.Concurrency(4))
	if y.n%2 == 0 {
		old.Kill()
	}
	if err := old.Terminate(); err != nil && y.n%2 != 0 {
		t.Error(err)
	}
	killed := y.n%2 == 0
	if killed {
		y.gatherer.Kill()
	}
	if err := y.stop(); err != nil && !killed {
		t.Errorf("the gather: %v", err)
	}
	y.gather(t)
}

// gather starts the gather in another process than before.
func (y *year) gather(t *testing.T) {
	t.Helper()
	ex, process := y.f.StartExecutor()
	ctx, cancel := context.WithCancel(t.Context())
	y.gatherer, y.cancel, y.ended = process, cancel, make(chan error, 1)
	go func() { y.ended <- errors.Join(drain(ctx, ex), ex.Close()) }()
}

// stop ends the gather.
func (y *year) stop() error {
	y.cancel()
	return <-y.ended
}

// rest lets time pass until the clean-ups after dead processes are done, and returns an inventory.
func (y *year) rest(t *testing.T) inventory {
	t.Helper()
	<-time.After(15 * time.Minute)
	if err := tidy(t.Context(), y.service); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Minute)
	for _, q := range y.f.Queues() {
		if q.Waiting+q.Running+q.Delayed > 0 {
			t.Errorf("queue %s of %q is not empty: %d wait, %d run", q.Name, q.Owner, q.Waiting, q.Running)
		}
	}
	found, err := take(t.Context(), y.raw)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
