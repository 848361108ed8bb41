package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

// The progress counts lines of the input, also those without a result and those with several.
func TestProgressCountsInputs(t *testing.T) {
	t.Parallel()
	letters := workers.DefineFlatMap("letters", func(_ context.Context, word string, yield func(string)) error {
		for _, letter := range strings.Split(word, "") {
			yield(letter)
		}
		if word == "bad" {
			return errors.New("it is bad")
		}
		return nil
	})
	ex, err := executor.New(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(letters); err != nil {
		t.Fatal(err)
	}
	lines := []codec.Item{codec.Item("abc"), codec.Item(""), codec.Item("bad"), codec.Item(""), codec.Item("de"), codec.Item("")}
	q, err := bridge.ScatterSeq(t.Context(), ex, slices.Values(lines))
	if err != nil {
		t.Fatal(err)
	}
	if q, err = flow.FlatMap(t.Context(), workers.RemoteFlatMap[codec.Item, codec.Item]("letters"), q); err != nil {
		t.Fatal(err)
	}
	results, err := bridge.GatherSlices(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	p := Printer{Out: io.Discard, Console: NewConsole(io.Discard), Errors: Skip, Records: &FunctionRecords{Single: true}, Counted: true}
	err = p.Print(t.Context(), results)
	if want := "1 item failed: line 3: letters: it is bad"; err == nil || err.Error() != want {
		t.Errorf("the error is %v, want %s", err, want)
	}
	if p.done() != 5 || p.total != 6 {
		t.Errorf("%d lines are done, with %d results", p.done(), p.total)
	}
}
