package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/connection"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/testkit/brokertest"
)

// The health of a worker follows it from New to the end of Run, with the reason.
func TestHealthNamesTheReason(t *testing.T) {
	brokertest.OnBoth(t, func(t *testing.T, w brokertest.World) {
		t.Helper()
		p := newPlant(t, w, 0, "hang")
		began, leave := make(chan struct{}), make(chan struct{})
		hang := defined("hang", func(x int) (int, error) { close(began); <-leave; return x, nil })
		worker, err := New("", Options{
			Client: p.C, Concurrency: 1, Drain: time.Minute, Functions: []*runner.Function{hang},
			Connection: connection.Settings{Options: broker.Options{Log: slog.New(slog.DiscardHandler)}, Lease: time.Minute},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := func(reason error) {
			t.Helper()
			if err := worker.Health(); !errors.Is(err, reason) {
				t.Errorf("the health is %v, want %v", err, reason)
			}
		}
		want(errNotJoined)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- worker.Run(ctx) }()
		<-worker.Ready()
		p.add(t, 1)
		<-began
		want(nil)
		if running := worker.Running(); len(running) != 1 || running[0].Stage != "q1" || running[0].Source != "s" || !worker.Answered() {
			t.Errorf("running are %+v, Redis has answered: %v", running, worker.Answered())
		}
		s := worker.partitions.sessions()[0]
		testkit.Eventually(t, func() bool { // an answer may come between these calls
			s.answered.Store(int64(time.Since(worker.started) - 25*time.Second)) // two heartbeats are 24 s
			err := worker.Health()
			return err != nil && strings.Contains(err.Error(), "has not answered for 2") && !worker.Answered()
		}, "the health says that Redis does not answer")
		s.hasAnswered()
		stop()
		testkit.Eventually(t, func() bool { return errors.Is(worker.Health(), errStopping) }, "the worker stops")
		close(leave)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want(errHasEnded)
	})
}
