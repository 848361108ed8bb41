package dqtest

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/internal/embedded"
)

// A recorder records the errors of a test.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestLeaksAreErrors(t *testing.T) {
	for what, c := range map[string]struct {
		leak func(t *testing.T, f *Fleet, over <-chan struct{})
		text string // of the error; "": none
	}{
		"none": {func(_ *testing.T, f *Fleet, _ <-chan struct{}) { f.StartExecutor(); f.StartWorker() }, ""},
		"goroutine": {func(_ *testing.T, _ *Fleet, over <-chan struct{}) {
			go func() { <-over }()
		}, "a goroutine is left:\ngoroutine "},
		"named queue": {func(t *testing.T, f *Fleet, _ <-chan struct{}) {
			ex, _ := f.StartExecutor()
			if _, err := bridge.Scatter(t.Context(), ex, make(chan int), bridge.Name("orders")); err != nil {
				t.Fatal(err)
			}
		}, "keys are left in the broker; delete named queues with executor.Delete: "},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				defer close(over)
				r := &recorder{TB: t}
				f := &Fleet{t: r, server: embedded.New(), log: slog.DiscardHandler}
				c.leak(t, f, over)
				f.end()
				switch {
				case c.text == "" && len(r.errors) > 0:
					t.Errorf("reported: %q", r.errors)
				case c.text != "" && (len(r.errors) != 1 || !strings.HasPrefix(r.errors[0], c.text)):
					t.Errorf("reported: %q, expected %q", r.errors, c.text)
				}
			})
		})
	}
}
