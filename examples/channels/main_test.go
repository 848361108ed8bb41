package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/dqtest"
	"github.com/dqbridge/dqbridge/workers"
)

func logLines() []string { return strings.Split(strings.TrimSpace(accessLog), "\n") }

// Both forms have the same results and the same problem. Only the remote one has them in the order of the lines.
func TestBothFormsHaveTheSameOutput(t *testing.T) {
	var local, localProblems bytes.Buffer
	if err := plain(t.Context(), logLines(), &local, log.New(&localProblems, "", 0)); err != nil {
		t.Fatal(err)
	}
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		f.StartWorker(workers.Functions(parseFunc))
		f.StartWorker(workers.Functions(reportFunc))
		var out, problems bytes.Buffer
		if err := remote(t.Context(), ex, logLines(), &out, log.New(&problems, "", 0)); err != nil {
			t.Fatal(err)
		}
		if got := problems.String(); got != "parse: "+localProblems.String() {
			t.Errorf("the problems are %q and %q", got, localProblems.String())
		}
		got := slices.Collect(strings.Lines(out.String()))
		for i, text := range got {
			if host, _, _ := strings.Cut(logLines()[i], " "); !strings.HasSuffix(text, " for "+host+"\n") {
				t.Errorf("line %d is %q", i, text)
			}
		}
		if want := slices.Sorted(strings.Lines(local.String())); len(want) != len(logLines())-1 || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("the lines are\n%q, want\n%q", got, want)
		}
	})
}

// A context that ends ends both forms with its cause.
func TestBothFormsEndWithTheirContext(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if err := plain(ctx, logLines(), io.Discard, log.New(io.Discard, "", 0)); !errors.Is(err, enough) {
		t.Errorf("the plain form ends with %v", err)
	}
	dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
		ex, _ := f.StartExecutor()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(enough)
		if err := remote(ctx, ex, logLines(), io.Discard, log.New(io.Discard, "", 0)); !errors.Is(err, enough) {
			t.Errorf("the remote form ends with %v", err)
		}
	})
}
