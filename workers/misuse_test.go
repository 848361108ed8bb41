package workers_test

import (
	"context"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func wantError(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v", what, err)
	}
}

func TestAWorkerRunsOnce(t *testing.T) {
	t.Parallel()
	same := workers.Define("same", func(_ context.Context, x int) (int, error) { return x, nil })
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	w := must(workers.New(url))(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	wantError(t, "Run while it runs", w.Run(ctx), "Run was called before")
	if err := w.Register(ctx, same); err != nil {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wantError(t, "Run after its end", w.Run(t.Context()), "Run was called before")
	wantError(t, "Register after its end", w.Register(t.Context(), same), "the Worker has ended")
}

// A refused call of Register registers none of its functions.
func TestRegisterIsAllOrNothing(t *testing.T) {
	t.Parallel()
	define := func(result int) workers.Func[int, int] {
		return workers.Define("one", func(context.Context, int) (int, error) { return result, nil })
	}
	w := must(workers.New("redis://127.0.0.1:1"))(t)
	wantError(t, "Register", w.Register(t.Context(), define(1), workers.Remote[int, int]("far")), "made by Remote")
	if err := w.Register(t.Context(), define(2)); err != nil {
		t.Errorf("a function of the refused call is registered: %v", err)
	}
	wantError(t, "another function of the name", w.Register(t.Context(), define(3)), "two functions have the name")
}
