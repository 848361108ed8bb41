package workers

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// mixed is a batch of which some items have failed, and some are no number.
func mixed(t *rapid.T) batch.Batch {
	var b batch.Builder
	for i, kind := range rapid.SliceOfN(rapid.IntRange(0, 9), 1, 200).Draw(t, "kinds") {
		switch kind {
		case 0:
			b.Failure(batch.Failure{Code: batch.CodeError, Message: strconv.Itoa(i)})
		case 1:
			b.Value([]byte("no number"))
		default:
			b.Value(strconv.AppendInt(nil, int64(i)*rapid.Int64().Draw(t, "times"), 10))
		}
	}
	return batch.Batch{Source: "s", First: 7, N: b.Len(), Frame: b.Take()}
}

func odds(_ context.Context, x int) (int, error) {
	if x%5 == 1 {
		return 0, errors.New("one of five")
	}
	return x - 1, nil
}

func text(_ context.Context, x int) (string, error) {
	if x%7 == 1 {
		panic("one of seven")
	}
	return strconv.Itoa(x), nil
}

// What a stage hands on as values is what the next one would have read from its frame,
// and becomes that frame where it has to.
func TestHeldResultsAreTheirFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := mixed(t)
		first, second := Define("f", odds).function(), Define("g", text).function()
		c := call{batch: b, worker: "worker", stage: "stage", tries: 1}
		framed := first.runner().run(t.Context(), c)
		c.hold = true
		holding := first.runner()
		held := holding.run(t.Context(), c)
		if framed.held != nil || held.frame != nil || held.n != framed.n || held.failed != framed.failed {
			t.Fatalf("framed %+v, held %+v", framed, held)
		}
		from := rapid.IntRange(0, held.n-1).Draw(t, "from")
		want := batch.Batch{Source: "s", First: 7, N: framed.n, Frame: framed.frame}
		if from > 0 {
			_, want, _ = want.Split(from)
		}
		s := step{result: held}
		if got := s.from("s", 7, from, nil); got.N != want.N || got.First != want.First || !bytes.Equal(got.Frame, want.Frame) {
			t.Fatalf("from %d on it is %q, want %q", from, got.Frame, want.Frame)
		}
		next := call{batch: batch.Batch{Source: "s", First: 7, N: framed.n}, worker: "worker", stage: "next", tries: 1}
		next.held = held.held
		byValue := second.runner().run(t.Context(), next)
		next.held, next.batch.Frame = nil, framed.frame
		byFrame := second.runner().run(t.Context(), next)
		if byValue.n != byFrame.n || byValue.failed != byFrame.failed || stackless(byValue.frame) != stackless(byFrame.frame) {
			t.Fatalf("by value %q, by frame %q", byValue.frame, byFrame.frame)
		}
		other := Define("h", func(_ context.Context, x int64) (int64, error) { return x, nil }).function()
		next.held, next.batch.Frame = held.held, nil // of another type: by its frame
		if got := other.runner().run(t.Context(), next); got.n != framed.n || got.err != nil {
			t.Fatalf("another type got %+v", got)
		}
		if again := held.held.frame(0, nil); !bytes.Equal(again, framed.frame) {
			t.Fatalf("later it is %q, not %q", again, framed.frame)
		}
		holding.release()
	})
}

// stackless is a frame without the stacks of panics, which name addresses.
func stackless(frame []byte) string {
	var all []byte
	r := batch.Read(frame)
	for item, failed, ok := r.Next(); ok; item, failed, ok = r.Next() {
		if failed {
			f := batch.ParseFailure(item)
			f.Stack = ""
			item = f.Append([]byte("failed "))
		}
		all = append(append(all, item...), '\n')
	}
	return string(all)
}

func TestStringsAreFullByTheirBytes(t *testing.T) {
	big := Define("f", func(_ context.Context, x int) (string, error) { return string(make([]byte, x)), nil })
	r := big.function().runner()
	c := call{hold: true}
	var b batch.Builder
	for range 5 {
		b.Value([]byte("3000000"))
	}
	c.batch = batch.Batch{N: 5, Frame: b.Take()}
	if got := r.run(t.Context(), c); got.n != 3 || got.held == nil {
		t.Errorf("%d items, held %v", got.n, got.held)
	}
}
