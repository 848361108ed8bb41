package operate_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/operate"
)

// failed returns the error of a call and drops its other result.
func failed[T any](_ T, err error) error { return err }

// calls has the methods of an Operator that take a context.
var calls = map[string]func(context.Context, *operate.Operator) error{
	"Abandon": func(ctx context.Context, o *operate.Operator) error {
		return failed(o.Abandon(ctx, "s", 0, operate.Act{}))
	},
	"Acts": func(ctx context.Context, o *operate.Operator) error { return failed(o.Acts(ctx, 1)) },
	"Cancel": func(ctx context.Context, o *operate.Operator) error {
		return failed(o.Cancel(ctx, "s", 0, operate.Act{}))
	},
	"Delete":    func(ctx context.Context, o *operate.Operator) error { return o.Delete(ctx, "q", operate.Act{}) },
	"Drain":     func(ctx context.Context, o *operate.Operator) error { return o.Drain(ctx, "w", operate.Act{}) },
	"DrainLast": func(ctx context.Context, o *operate.Operator) error { return o.DrainLast(ctx, "w", operate.Act{}) },
	"DropLetters": func(ctx context.Context, o *operate.Operator) error {
		return failed(o.DropLetters(ctx, []string{"1-1"}, operate.Act{}))
	},
	"Holders": func(ctx context.Context, o *operate.Operator) error { return failed(o.Holders(ctx, "w")) },
	"Pause":   func(ctx context.Context, o *operate.Operator) error { return failed(o.Pause(ctx, "s", operate.Act{})) },
	"Purge": func(ctx context.Context, o *operate.Operator) error {
		return failed(o.Purge(ctx, "q", operate.Act{}, nil))
	},
	"Resume": func(ctx context.Context, o *operate.Operator) error { return failed(o.Resume(ctx, "s", operate.Act{})) },
	"RetryLetters": func(ctx context.Context, o *operate.Operator) error {
		return failed(o.RetryLetters(ctx, []string{"1-1"}, "", operate.Act{}))
	},
	"Stage":   func(ctx context.Context, o *operate.Operator) error { return failed(o.Stage(ctx, "s")) },
	"Undrain": func(ctx context.Context, o *operate.Operator) error { return o.Undrain(ctx, "w", operate.Act{}) },
}

// No method panics for a nil or zero Operator, a nil context or bad arguments. After Close, all return
// executor.ErrClosed.
func TestMisusedOperatorReturnsErrors(t *testing.T) {
	t.Parallel()
	url := testkit.SharedRedis(t).URL() + "/?ns=" + testkit.Namespace(t)
	o, err := operate.New(t.Context(), url, executor.Logger(nil))
	if err != nil {
		t.Fatal(err)
	}
	explains := func(name string, err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, and not %q", name, err, text)
		}
	}
	var none *operate.Operator
	var noContext context.Context
	for name, call := range calls {
		explains(name+" of nil", call(t.Context(), none), "make it with operate.New")
		explains(name+" of a zero value", call(t.Context(), new(operate.Operator)), "make it with operate.New")
		explains(name+" without a context", call(noContext, o), "context of an act is nil")
	}
	explains("Acts without a limit", failed(o.Acts(t.Context(), 0)), "at least 1")
	explains("Close of nil", none.Close(), "make it with operate.New")
	explains("Close of a zero value", new(operate.Operator).Close(), "make it with operate.New")
	explains("New without a context", failed(operate.New(noContext, url)), "context")
	if none.Inspector() != nil || new(operate.Operator).Inspector() != nil {
		t.Error("there is an Inspector without a connection")
	}
	if err := errors.Join(o.Close(), o.Close()); err != nil {
		t.Error(err)
	}
	for name, call := range calls {
		if err := call(t.Context(), o); !errors.Is(err, executor.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

func TestMisusesCoverTheOperator(t *testing.T) {
	t.Parallel()
	for m := range reflect.TypeFor[*operate.Operator]().Methods() {
		if m.Type.NumIn() > 1 && calls[m.Name] == nil {
			t.Errorf("no row for %s", m.Name)
		}
	}
}
