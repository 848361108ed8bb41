package executor_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
)

// cut has a scatter fail, with an Executor of some options, and returns what slog.Default has
// logged once the Executor has warned of it.
func cut(t *testing.T, opts ...executor.Option) string {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	synctest.Test(t, func(t *testing.T) {
		ex, err := executor.New(t.Context(), "", opts...)
		if err != nil {
			t.Fatal(err)
		}
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 3}), bridge.Name("small"), bridge.MaxSize(1), bridge.Overflow(bridge.OverflowFail))
		if err != nil {
			t.Fatal(err)
		}
		<-q.Done()
		synctest.Wait()
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	})
	return out.String()
}

func TestWarningsGoToTheDefaultLogger(t *testing.T) {
	text := cut(t)
	if !strings.Contains(text, "level=WARN") || !strings.Contains(text, "queue=small") {
		t.Errorf("logged %q", text)
	}
	if strings.Contains(text, "level=INFO") || strings.Contains(text, "level=DEBUG") {
		t.Errorf("logged below Warn: %q", text)
	}
}

func TestANilLoggerIsSilent(t *testing.T) {
	if text := cut(t, executor.Logger(nil)); text != "" {
		t.Errorf("logged %q", text)
	}
}
