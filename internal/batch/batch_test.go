package batch_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// batches draws a well-formed batch of at least one item, failures among them.
func batches() *rapid.Generator[batch.Batch] {
	return rapid.Custom(func(t *rapid.T) batch.Batch {
		entries := rapid.SliceOfN(entries(), 1, 40).Draw(t, "entries")
		return batch.Batch{
			Source: rapid.StringN(0, 8, -1).Draw(t, "source"),
			First:  rapid.Int64Range(0, math.MaxInt32).Draw(t, "first"),
			N:      len(entries),
			Frame:  build(new(batch.Builder), entries),
		}
	})
}

func TestSplitThenJoinIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := batches().Draw(t, "whole")
		k := rapid.IntRange(-1, whole.N+1).Draw(t, "k")
		before := string(whole.Frame)
		head, tail, err := whole.Split(k)
		if inside := 0 < k && k < whole.N; inside != (err == nil) {
			t.Fatalf("split of %d items at %d: %v", whole.N, k, err)
		}
		if err != nil {
			return
		}
		if head.N != k || head.First != whole.First || tail.First != head.End() || tail.End() != whole.End() {
			t.Fatalf("[%d,%d) and [%d,%d)", head.First, head.End(), tail.First, tail.End())
		}
		wantGood(t, head)
		wantGood(t, tail)
		_ = append(head.Frame, 0xff)
		joined, err := batch.Join([]batch.Batch{head, tail}, nil)
		if err != nil || !reflect.DeepEqual(joined, whole) || string(whole.Frame) != before {
			t.Fatalf("joined to %+v, %v", joined, err)
		}
	})
}

func TestCutThenJoinIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := batches().Draw(t, "whole")
		size := rapid.IntRange(1, whole.N+1).Draw(t, "size")
		parts, err := whole.Cut(size)
		if err != nil || len(parts) != (whole.N+size-1)/size {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		for i, part := range parts {
			wantGood(t, part)
			if part.N > size || part.N < size && i < len(parts)-1 {
				t.Fatalf("part %d has %d items", i, part.N)
			}
		}
		if joined, err := batch.Join(parts, new(batch.Memory)); err != nil || !reflect.DeepEqual(joined, whole) {
			t.Fatalf("joined to %+v, %v", joined, err)
		}
	})
}

func wantGood(t *rapid.T, b batch.Batch) {
	if err := b.Check(); err != nil {
		t.Fatalf("%+v: %v", b, err)
	}
}

func TestLostBatchIsSplitByNumber(t *testing.T) {
	lost := batch.Batch{Source: "s", First: 7, N: 5, Lost: &batch.Failure{Code: batch.CodeLost}}
	parts, err := lost.Cut(2)
	if err != nil || len(parts) != 3 || parts[2].N != 1 || parts[2].First != 11 || parts[2].Lost != lost.Lost {
		t.Errorf("got %+v, %v", parts, err)
	}
	if err := parts[1].Check(); err != nil {
		t.Error(err)
	}
}

func TestCheckCountsItems(t *testing.T) {
	two := []byte("\x01\x02a\x02b")
	for want, b := range map[string]batch.Batch{
		"2 items, but 3": {N: 3, Frame: two},
		"2 items, but 1": {N: 1, Frame: two},
		"0 items, but 1": {N: 1},
		"0 items at":     {Frame: two},
		"at offset 92":   {First: math.MaxInt64 - 1, N: 2, Frame: two},
		"at offset -1":   {First: -1, N: 2, Frame: two},
		"version 3":      {N: 1, Frame: []byte("\x03\x02a")},
		"longer than":    {N: 2, Frame: two[:4]},
	} {
		err := b.Check()
		if !errors.Is(err, batch.ErrFrame) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", b, err, want)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	a := batch.Batch{Source: "s", First: 0, N: 1, Frame: []byte("\x01\x02a")}
	b := batch.Batch{Source: "s", First: 1, N: 1, Frame: []byte("\x01\x02b")}
	other, gap, lost, empty, later := b, b, b, b, b
	later.Frame = []byte("\x02\x02b")
	other.Source, gap.First, lost.Lost, empty.Frame = "t", 2, &batch.Failure{}, nil
	for _, b := range []batch.Batch{other, gap, lost, empty, later, a} {
		if _, err := batch.Join([]batch.Batch{a, b}, nil); !errors.Is(err, batch.ErrFrame) {
			t.Errorf("%+v: %v", b, err)
		}
	}
	empty.First = 0
	if _, err := batch.Join([]batch.Batch{empty, b}, nil); !errors.Is(err, batch.ErrFrame) {
		t.Errorf("an empty head: %v", err)
	}
	if joined, err := batch.Join([]batch.Batch{a, b}, nil); err != nil || joined.Check() != nil {
		t.Errorf("got %+v, %v", joined, err)
	}
}

func TestSplitOfShortFrame(t *testing.T) {
	b := batch.Batch{N: 3, Frame: []byte("\x01\x02a")}
	if _, _, err := b.Split(2); !errors.Is(err, batch.ErrFrame) || strings.Contains(err.Error(), "%!") {
		t.Errorf("got %v", err)
	}
	if _, err := b.Cut(0); err == nil {
		t.Error("cut into parts of nothing")
	}
}
