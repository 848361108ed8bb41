package runner

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
	"pgregory.net/rapid"
)

func define[In, Out any](name string, f func(context.Context, In) (Out, error)) *Function {
	return Define(name, f, Definition{}).Function()
}

func defineBatch[In, Out any](name string, f func(context.Context, []In) ([]Out, error)) *Function {
	return DefineBatch(name, f, Definition{}).Function()
}

func wantText(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("got %q, want %q in it", got, part)
		}
	}
}

// runOf runs f on a batch of these items.
func runOf(t *testing.T, f *Function, c Call, items ...string) Result {
	t.Helper()
	if f.Err != nil {
		t.Fatal(f.Err)
	}
	var b batch.Builder
	for _, item := range items {
		b.Value([]byte(item))
	}
	c.Attempt = max(1, c.Attempt)
	c.Batch, c.Worker, c.Stage = batch.Batch{N: len(items), Frame: b.Take()}, "worker", "stage"
	r := f.New().Run(t.Context(), c)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r
}

// failureOf returns the first item, a failure.
func failureOf(t *testing.T, r Result) batch.Failure {
	t.Helper()
	rd := batch.Read(r.Frame)
	item, isFailure, _ := rd.Next()
	if !isFailure || r.Failed == 0 {
		t.Fatalf("%d failures, the first item is %.100q", r.Failed, item)
	}
	return batch.ParseFailure(item)
}

func wantOutcomes(t *testing.T, r Result, want ...string) {
	t.Helper()
	if got := outcomes(t, batch.Batch{N: r.N, Frame: r.Frame}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %.200q, want %.200q", got, want)
	}
}

// outcomes returns the items of a batch as text, and failures as their code and attempts.
func outcomes(t rapid.TB, b batch.Batch) (texts []string) {
	t.Helper()
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	rd := batch.Read(b.Frame)
	for item, isFailure, ok := rd.Next(); ok; item, isFailure, ok = rd.Next() {
		text := string(item)
		if isFailure && !strings.HasPrefix(text, "failure ") {
			f := batch.ParseFailure(item)
			if f.Function != "f" || f.Stage != "stage" || f.Worker != "worker" || f.Message == "" {
				t.Fatalf("the failure is %+v", f)
			}
			text = fmt.Sprintf("%s after %d", f.Code, f.Attempts)
		}
		texts = append(texts, text)
	}
	return texts
}
