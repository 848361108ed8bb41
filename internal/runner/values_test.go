package runner

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// mixed returns a batch in which some items have failed and some are no number.
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

// Results that a stage passes on as values are those that the next stage would decode from their
// frame, and encode to that frame.
func TestHeldResultsAreTheirFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := mixed(t)
		first, second := define("f", odds), define("g", text)
		c := Call{Batch: b, Worker: "worker", Stage: "stage", Attempt: 1}
		framed := first.New().Run(t.Context(), c)
		c.Hold = true
		holding := first.New()
		held := holding.Run(t.Context(), c)
		if framed.Held != nil || held.Frame != nil || held.N != framed.N || held.Failed != framed.Failed {
			t.Fatalf("framed %+v, held %+v", framed, held)
		}
		from := rapid.IntRange(0, held.N-1).Draw(t, "from")
		want := batch.Batch{Source: "s", First: 7, N: framed.N, Frame: framed.Frame}
		if from > 0 {
			_, want, _ = want.Split(from)
		}
		if got := held.Held.Encode(from, held.N, nil); !bytes.Equal(got, want.Frame) {
			t.Fatalf("from %d on it is %q, want %q", from, got, want.Frame)
		}
		next := Call{Batch: batch.Batch{Source: "s", First: 7, N: framed.N}, Worker: "worker", Stage: "next", Attempt: 1}
		next.Held = held.Held
		byValue := second.New().Run(t.Context(), next)
		next.Held, next.Batch.Frame = nil, framed.Frame
		byFrame := second.New().Run(t.Context(), next)
		if byValue.N != byFrame.N || byValue.Failed != byFrame.Failed || stackless(byValue.Frame) != stackless(byFrame.Frame) {
			t.Fatalf("by value %q, by frame %q", byValue.Frame, byFrame.Frame)
		}
		other := define("h", func(_ context.Context, x int64) (int64, error) { return x, nil })
		next.Held, next.Batch.Frame = held.Held, nil // of another type: by its frame
		if got := other.New().Run(t.Context(), next); got.N != framed.N || got.Err != nil {
			t.Fatalf("another type got %+v", got)
		}
		if again := held.Held.Encode(0, held.N, nil); !bytes.Equal(again, framed.Frame) {
			t.Fatalf("later it is %q, not %q", again, framed.Frame)
		}
		holding.Release()
	})
}

// stackless returns the items of a frame without the stacks of panics, which contain addresses.
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
	big := define("f", func(_ context.Context, x int) (string, error) { return string(make([]byte, x)), nil })
	r := big.New()
	c := Call{Hold: true}
	var b batch.Builder
	for range 5 {
		b.Value([]byte("3000000"))
	}
	c.Batch = batch.Batch{N: 5, Frame: b.Take()}
	if got := r.Run(t.Context(), c); got.N != 3 || got.Held == nil {
		t.Errorf("%d items, held %v", got.N, got.Held)
	}
}

// A frame from an item on has no failures of the items before it.
func TestHeldFrameLeavesOutEarlierFailures(t *testing.T) {
	var b batch.Builder
	for _, why := range []string{"first", "second"} {
		b.Failure(batch.Failure{Code: batch.CodeError, Message: why})
	}
	c := Call{Batch: batch.Batch{Source: "s", N: 2, Frame: b.Take()}, Attempt: 1, Hold: true}
	r := define("f", odds).New()
	held := r.Run(t.Context(), c)
	if held.N != 2 || held.Held == nil {
		t.Fatalf("the result is %+v", held)
	}
	b.Failure(batch.Failure{Code: batch.CodeError, Message: "second"})
	if got, want := held.Held.Encode(1, 2, nil), b.Take(); !bytes.Equal(got, want) {
		t.Errorf("from the second item on the frame is %q, want %q", got, want)
	}
	r.Release()
}
