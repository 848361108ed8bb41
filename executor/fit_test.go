package executor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// A lockedBuffer is a log of several goroutines.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Contains(b.text.String(), text)
}

// In a fleet with several versions and types of a function, flows go on with the workers that fit, and
// both sides warn.
func TestMixedFleet(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	inc := func(version string) workers.Func[int, int] {
		return workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil }, workers.Version(version))
	}
	text := workers.Define("inc", func(_ context.Context, s string) (string, error) { return s, nil })
	var logs, own lockedBuffer
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for _, f := range []workers.Function{inc("3"), inc("3"), inc("4"), text} {
		w, err := workers.New(url, workers.Functions(f), workers.Logger(slog.New(slog.NewTextHandler(&logs, nil))))
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		<-w.Ready()
	}
	ex, err := executor.New(t.Context(), url, executor.Logger(slog.New(slog.NewTextHandler(&own, nil))))
	if err != nil {
		t.Fatal(err)
	}
	wantEncodedInc(t, ex)
	if v, err := submit(t, ex, workers.Remote[int, int]("inc"), 1); v != 2 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	if _, err := submit(t, ex, workers.Remote[bool, bool]("inc"), true); !errors.Is(err, executor.ErrTypeMismatch) {
		t.Errorf("got %v", err)
	}
	infos, err := ex.Functions(t.Context())
	if err != nil || len(infos) != 3 || infos[0].Version != "3" || infos[0].Workers != 2 || infos[1].Version != "4" {
		t.Errorf("got %+v, %v", infos, err)
	}
	if !own.has(`versions="[\"3\" \"4\"]"`) || !own.has("with other types") || !logs.has("in another version") {
		t.Errorf("logged %s and %s", own.text.String(), logs.text.String())
	}
	for _, side := range []string{"version=4 theirs=3", "version=3 theirs=4"} { // of the worker that has joined, and of one before it
		testkit.Eventually(t, func() bool { return logs.has(side) }, side)
	}
	stop()
	group.Wait()
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

func submit[T any](t *testing.T, ex *executor.Executor, f workers.Func[T, T], x T) (v T, err error) {
	t.Helper()
	future, err := executor.Submit(t.Context(), ex, f, x)
	if err != nil {
		return v, err
	}
	return future.Result(t.Context())
}

// wantEncodedInc runs inc on an item that is encoded already, as the commands do.
func wantEncodedInc(t *testing.T, ex *executor.Executor) {
	t.Helper()
	in := make(chan codec.Item, 1)
	in <- codec.Item("41")
	close(in)
	q, err := bridge.Scatter(t.Context(), ex, in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), workers.Remote[codec.Item, codec.Item]("inc"), q)
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range bridge.All(t.Context(), out) {
		if string(v) != "42" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
	}
}
