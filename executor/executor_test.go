package executor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

func TestString(t *testing.T) {
	server := testkit.SharedRedis(t)
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		if got := ex.String(); got != "<Executor: scheduler= workers=1 threads=4>" &&
			got != "<Executor: scheduler="+server.Addr()+" workers=1 threads=4>" {
			t.Errorf("got %s", got)
		}
	}, inc)
}

func TestThePasswordIsNeverTold(t *testing.T) {
	server := testkit.StartRedis(t, "--requirepass", "open sesame")
	for _, address := range []string{
		"redis://:wrongsecret@" + server.Addr(), "redis://user:wrongsecret@" + server.Addr() + "/x", "redis://user:wrongsecret@:bad",
	} {
		_, err := executor.New(t.Context(), address)
		if err == nil || strings.Contains(err.Error(), "wrongsecret") {
			t.Errorf("got %v", err)
		}
	}
	ex, err := executor.New(t.Context(), "redis://"+server.Addr(), executor.Auth("default", "open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(ex.String(), "sesame") {
		t.Error(ex)
	}
	if err := ex.Close(); err != nil {
		t.Error(err)
	}
}

// A heartbeat on its way while Close leaves is no trouble.
func TestCloseWarnsOfNothing(t *testing.T) {
	server := testkit.SharedRedis(t)
	var log bytes.Buffer
	for range 200 {
		ex, err := executor.New(t.Context(), server.URL()+"/?ns="+testkit.Namespace(t), executor.Logger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
		if err != nil {
			t.Fatal(err)
		}
		if err := ex.Close(); err != nil || log.Len() > 0 {
			t.Fatalf("%v, logged: %s", err, &log)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]error{
		"redis://127.0.0.1:1": executor.ErrUnreachable, "foo://x": executor.ErrInvalidURL, "127.0.0.1:6379": executor.ErrInvalidURL,
		"redis://127.0.0.1:6379/?ns=a{b": executor.ErrInvalidURL, "redis+sentinel://h": executor.ErrInvalidURL,
	} {
		if _, err := executor.New(t.Context(), address); !errors.Is(err, want) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []executor.Option{executor.Concurrency(0), executor.Lease(1)} {
		if _, err := executor.New(t.Context(), "", o); err == nil || !strings.Contains(err.Error(), "at least") {
			t.Errorf("got %v", err)
		}
	}
}

func TestRegisterRefusesWhatItCannotRun(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		twin := workers.Define("inc", func(_ context.Context, s string) (string, error) { return s, nil })
		for _, f := range []workers.Function{nil, workers.Func[int, int]{}, workers.Remote[int, int]("far"), twin} {
			if err := ex.Register(f); err == nil {
				t.Errorf("%v was taken", f)
			}
		}
	}, inc)
}

func TestLists(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		mapSlice(t, ex, inc, 1)
		functions, err := ex.Functions(t.Context())
		if err != nil || len(functions) != 1 || functions[0] != (inspect.Function{Name: "inc", In: "int", InCodec: "json", Out: "int", OutCodec: "json", Workers: 1}) {
			t.Errorf("%v, %v", functions, err)
		}
		live, err := ex.Workers(t.Context())
		if err != nil || len(live) != 1 || live[0].Concurrency != 4 || live[0].PID == 0 || live[0].Seen.IsZero() {
			t.Errorf("%v, %v", live, err)
		}
		stages, err := ex.Stages(t.Context())
		if err != nil || len(stages) != 1 || stages[0].Function != "inc" || stages[0].Kind != "future" || stages[0].Workers != 1 {
			t.Errorf("%v, %v", stages, err)
		}
	}, inc)
}

func TestAPanicOfADialerIsAnError(t *testing.T) {
	dialer := executor.Dialer(func(context.Context, string, string) (net.Conn, error) { panic("no tunnel") })
	if _, err := executor.New(t.Context(), "redis://127.0.0.1:1", dialer); !errors.Is(err, executor.ErrUnreachable) || !strings.Contains(err.Error(), "no tunnel") {
		t.Errorf("got %v", err)
	}
}
