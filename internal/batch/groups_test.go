package batch_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// sumOf is the number of items of so many for each offset.
func sumOf(each []int) (sum int) {
	for _, n := range each {
		sum += n
	}
	return sum
}

// Groups, Cut, Head and OffsetsBefore divide offsets by their items, and lose none.
func TestGroupsDivideOffsetsByItems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		each := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 1, 1, 1, 2, 5, 9}), 1, 30).Draw(t, "each")
		most := rapid.IntRange(1, 12).Draw(t, "most")
		whole := counted(each...)
		if got := whole.LargestGroup(); got != max(1, slices.Max(each)) {
			t.Fatalf("%v: the largest group has %d items", each, got)
		}
		large := slices.IndexFunc(each, func(n int) bool { return n > most })
		if n := whole.OffsetsBefore(most); n != large && (large >= 0 || n != len(each)) {
			t.Fatalf("%v: %d offsets before the first one of more than %d items", each, n, most)
		}
		checkHead(t, whole, each, most)
		groups, err := whole.Groups(most, len(each))
		if err != nil {
			t.Fatal(err)
		}
		cut, err := whole.Cut(most)
		if err != nil {
			t.Fatal(err)
		}
		for _, parts := range [][]batch.Batch{groups, cut} {
			var of []int
			for _, part := range parts {
				of = append(of, eachOf(t, part)...)
			}
			if !slices.Equal(of, each) {
				t.Fatalf("%v became %v", each, of)
			}
		}
		for _, part := range groups {
			if own := eachOf(t, part); len(own) > 1 && slices.Max(own) > most {
				t.Fatalf("%v: a group of more than %d items is not alone: %v", each, most, own)
			}
		}
		for _, part := range cut { // offsets without items may stand beside a large one
			if own := eachOf(t, part); sumOf(own) > max(most, slices.Max(own)) {
				t.Fatalf("%v: a part has %v and not at most %d items", each, own, most)
			}
		}
	})
}

func checkHead(t *rapid.T, whole batch.Batch, each []int, most int) {
	want, sum := 0, 0
	for want < len(each) && sum+each[want] <= most {
		sum += each[want]
		want++
	}
	head, items, err := whole.Head(most)
	if err != nil || head.N != want || items != sum || want > 0 && !slices.Equal(eachOf(t, head), each[:want]) {
		t.Fatalf("the head of %v with at most %d items has %d offsets and %d items, %v", each, most, head.N, items, err)
	}
}

// The items of a group have an offset each in the child.
func TestOpenedGroupHasItsItems(t *testing.T) {
	opened, err := counted(3).Open("s/4.3")
	if err != nil || opened.Source != "s/4.3" || opened.First != 0 || opened.N != 3 || string(opened.Frame) != "\x01\x02a\x02b\x02c" {
		t.Errorf("%+v, %v", opened, err)
	}
	for _, each := range [][]int{{1}, {0}, {2, 2}} {
		if _, err := counted(each...).Open("s/4.3"); err == nil {
			t.Errorf("%v is no group, and was opened", each)
		}
	}
}
