package workers_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A logBuffer is a log that is written and read by several goroutines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// with returns the lines that have a text.
func (b *logBuffer) with(text string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// The log of a worker at INFO has the work of a minute with its first error, nothing about idle
// minutes, and what the worker waits for when it stops.
func TestWorkersLogWhatTheyDo(t *testing.T) {
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		log := new(logBuffer)
		odd := workers.Define("odd", func(ctx context.Context, n int) (int, error) {
			if n%2 == 0 {
				return 0, errors.New("even numbers are bad")
			}
			return n, nil
		})
		hang := make(chan struct{})
		slow := workers.Define("slow", func(ctx context.Context, n int) (int, error) { <-hang; return n, nil })
		ex, _ := f.StartExecutor()
		w := f.StartWorker(workers.Functions(odd, slow), workers.Logger(slog.New(slog.NewTextHandler(log, nil))), workers.DrainTimeout(time.Minute))
		q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{1, 2, 3, 4, 6}))
		out, err2 := executor.Map(t.Context(), odd, q, executor.Name("odds"))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		for range bridge.All(t.Context(), out) {
		}
		if err := ex.Delete(t.Context(), "odds"); err != nil {
			t.Error(err)
		}
		<-time.After(5 * time.Minute)
		if lines := log.with("msg=work"); len(lines) != 1 ||
			!strings.Contains(lines[0], `stage=odds function=odd done=5 failed=3 rate=0.1 err="even numbers are bad"`) {
			t.Errorf("five minutes are %q", lines)
		}
		q, err = bridge.ScatterSeq(t.Context(), ex, slices.Values([]int{7}))
		out, err2 = executor.Map(t.Context(), slow, q)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		<-time.After(3 * time.Second)
		time.AfterFunc(12*time.Second, func() { close(hang) })
		if err := w.Terminate(); err != nil {
			t.Error(err)
		}
		lines := log.with("msg=draining")
		if len(lines) != 3 || !strings.Contains(lines[2], "running=1") || !strings.Contains(lines[2], "slow source ") || !strings.Contains(lines[2], "offset 0 for 13s") {
			t.Errorf("draining are %q", lines)
		}
		if lines := log.with("function=slow done=1"); len(lines) != 1 {
			t.Errorf("the last work is %q", lines)
		}
		for range bridge.All(t.Context(), out) {
		}
	})
}
