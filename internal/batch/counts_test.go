package batch_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// counted makes a batch at offset 4 with so many items for each offset: the letters a, b, c in turn.
func counted(each ...int) batch.Batch {
	var b batch.Builder
	positions := []int32{}
	for at, n := range each {
		for range n {
			b.Value([]byte{byte('a' + b.Len()%3)})
			positions = append(positions, int32(at))
		}
	}
	return batch.Batch{Source: "s", First: 4, N: len(each), Frame: batch.AppendCounts(b.Take(), positions, 0, len(each))}
}

// eachOf returns the number of items for each offset of a batch.
func eachOf(t interface{ Fatal(...any) }, b batch.Batch) []int {
	each := make([]int, b.N)
	if !batch.Counted(b.Frame) {
		for i := range each {
			each[i] = 1
		}
		return each
	}
	positions, err := b.AppendPositions(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range positions {
		each[at]++
	}
	return each
}

func TestCountsHaveOneForm(t *testing.T) {
	for _, c := range []struct {
		each []int
		want string
	}{
		{[]int{1, 0, 2, 0}, "\x02\x02a\x02b\x02c\x04\x05\x0a\x05\x00\x00\x00\x04"},
		{[]int{0, 0, 0}, "\x02\x0d\x00\x00\x00\x01"},
		{[]int{1, 1, 1}, "\x01\x02a\x02b\x02c"},
		{[]int{0, 1, 1}, "\x02\x02a\x02b\x05\x08\x00\x00\x00\x02"},
		{[]int{2, 2}, "\x02\x02a\x02b\x02c\x02a\x0a\x0a\x00\x00\x00\x02"},
	} {
		if b := counted(c.each...); string(b.Frame) != c.want || b.Check() != nil {
			t.Errorf("%v: %q, %v, want %q", c.each, b.Frame, b.Check(), c.want)
		}
	}
}

func TestPartsOfCountsJoinAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		each := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, 5}), 2, 40).Draw(t, "each")
		whole := counted(each...)
		var cuts []int
		for at := 1; at < len(each); at++ {
			if rapid.Bool().Draw(t, "cut") {
				cuts = append(cuts, at)
			}
		}
		parts, err := whole.Parts(cuts)
		if err != nil {
			t.Fatal(err)
		}
		var of []int
		for _, part := range parts {
			if err := part.Check(); err != nil {
				t.Fatal(err, part)
			}
			of = append(of, eachOf(t, part)...)
		}
		joined, err := batch.Join(parts, nil)
		if err != nil || !bytes.Equal(joined.Frame, whole.Frame) || joined.N != whole.N || !slices.Equal(of, each) {
			t.Fatalf("%v at %v became %v and %q, %v", each, cuts, of, joined.Frame, err)
		}
		k := rapid.IntRange(1, len(each)-1).Draw(t, "k")
		head, tail, err := whole.Split(k)
		if err != nil || !slices.Equal(append(eachOf(t, head), eachOf(t, tail)...), each) {
			t.Fatalf("%v before %d: %v, %v, %v", each, k, head, tail, err)
		}
		sum := 0
		for _, n := range each[k:] {
			sum += n
		}
		if n, err := whole.ItemsIn(k, len(each)); n != sum || err != nil {
			t.Fatalf("%v has %d items from %d on, %v", each, n, k, err)
		}
	})
}

// TestMalformedCountsAreErrors has each way in which counts can be wrong.
func TestMalformedCountsAreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		n     int
		frame string
	}{
		"too few offsets":           {5, "\x02\x02a\x04\x05\x0a\x05\x00\x00\x00\x04"},
		"too many offsets":          {3, "\x02\x02a\x04\x05\x05\x00\x00\x00\x03"},
		"an item less":              {2, "\x02\x04\x05\x00\x00\x00\x02"},
		"an item more":              {2, "\x02\x02a\x02b\x04\x05\x00\x00\x00\x02"},
		"a kind that is none":       {2, "\x02\x02a\x04\x07\x00\x00\x00\x02"},
		"a trailer beyond":          {2, "\x02\x02a\x04\x05\x00\x00\x00\x09"},
		"a huge trailer":            {2, "\x02\x02a\x04\x05\xff\xff\xff\xff"},
		"no trailer":                {2, "\x02\x02a"},
		"a group of one":            {2, "\x02\x02a\x06\x05\x00\x00\x00\x02"},
		"a count of 0":              {1, "\x02\x00\x05\x00\x00\x00\x02"},
		"runs that are one":         {3, "\x02\x05\x09\x00\x00\x00\x02"},
		"one each":                  {2, "\x02\x02a\x02b\x08\x00\x00\x00\x01"},
		"a token without an end":    {1, "\x02\x85\x00\x00\x00\x01"},
		"a token in more bytes":     {1, "\x02\x85\x00\x00\x00\x00\x02"},
		"more items than there may": {1, "\x02\xfe\xff\xff\xff\x0f\x00\x00\x00\x05"},
	} {
		b := batch.Batch{Source: "s", N: c.n, Frame: []byte(c.frame)}
		if err := b.Check(); !errors.Is(err, batch.ErrFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := batch.Join([]batch.Batch{counted(1, 0), {Source: "s", First: 6, N: 1, Frame: []byte("\x03\x02a")}}, nil); !errors.Is(err, batch.ErrFrame) {
		t.Errorf("a frame of another version joins: %v", err)
	}
}

// FuzzCounts: a frame with valid counts has one form, and its parts are valid.
func FuzzCounts(f *testing.F) {
	for _, each := range [][]int{{1, 0, 2, 0}, {0}, {0, 1}, {3, 3}, {1, 1, 0, 0, 1}} {
		f.Add(counted(each...).Frame, len(each), 1)
	}
	f.Fuzz(func(t *testing.T, frame []byte, n, cut int) {
		b := batch.Batch{Source: "s", N: n, Frame: frame}
		if b.Check() != nil || !batch.Counted(frame) {
			return
		}
		positions, err := b.AppendPositions(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := batch.Read(frame)
		body := append([]byte{batch.Version}, r.Rest()...)
		if made := batch.AppendCounts(body, positions, 0, n); !bytes.Equal(made, frame) {
			t.Fatalf("%q became %q", frame, made)
		}
		if cut <= 0 || cut >= n {
			return
		}
		head, tail, err := b.Split(cut)
		if err != nil || head.Check() != nil || tail.Check() != nil {
			t.Fatalf("%q before %d: %v, %v, %v", frame, cut, err, head.Check(), tail.Check())
		}
		if joined, err := batch.Join([]batch.Batch{head, tail}, nil); err != nil || !bytes.Equal(joined.Frame, frame) {
			t.Fatalf("%q joins to %q, %v", frame, joined.Frame, err)
		}
	})
}
