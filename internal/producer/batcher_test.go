package producer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestBatcherCutsWhatWasAdded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Int64Range(0, 1000).Draw(t, "first")
		bound := rapid.Int64Range(0, 40).Draw(t, "bound")
		bytes := rapid.Int64Range(0, 60).Draw(t, "bytes")
		b := NewBatcher("s", first, broker.Bounds{Max: bound, MaxBytes: bytes})
		var items []string
		var all []batch.Batch
		for range rapid.IntRange(1, 80).Draw(t, "items") {
			if rapid.IntRange(0, 9).Draw(t, "change") == 0 {
				b.Limit(Portion{
					Items: rapid.IntRange(-1, 30).Draw(t, "limit"), Batches: rapid.IntRange(1, pendingBatches).Draw(t, "batches"),
					Crowded: rapid.IntRange(0, 30).Draw(t, "crowded"),
				})
			}
			items = append(items, add(t, b, first+int64(len(items))))
			if b.Full() || rapid.IntRange(0, 4).Draw(t, "take") == 0 {
				all = append(all, taken(t, b, bound, bytes)...)
			}
			if bound > 0 && b.Len() >= int(bound) {
				t.Fatalf("%d items collected, and it is not full at a bound of %d", b.Len(), bound)
			}
		}
		all = append(all, taken(t, b, bound, bytes)...)
		if next := first + int64(len(items)); b.Next() != next || b.Len() != 0 || b.Take() != nil {
			t.Fatalf("next is %d, not %d; %d are left", b.Next(), next, b.Len())
		}
		same(t, all, first, items)
	})
}

// add adds an item, sometimes a failure, and returns how it reads.
func add(t *rapid.T, b *Batcher, at int64) string {
	t.Helper()
	if b.Next() != at {
		t.Fatalf("next is %d, not %d", b.Next(), at)
	}
	buf := append(b.Begin(), fmt.Sprint(at)...)
	if rapid.IntRange(0, 5).Draw(t, "fail") == 0 {
		b.Fail(buf, batch.Failure{Code: batch.CodeEncode, Message: fmt.Sprint(at)})
		return "failed " + fmt.Sprint(at)
	}
	b.End(buf)
	return fmt.Sprint(at)
}

func taken(t *rapid.T, b *Batcher, bound, bytes int64) []batch.Batch {
	t.Helper()
	before := b.Len()
	all, n := b.Take(), 0
	for _, one := range all {
		n += one.N
		if bound > 0 && one.N > int(bound) || one.N > batchItems {
			t.Fatalf("a batch of %d items, more than %d", one.N, bound)
		}
		if bytes > 0 && one.N > 1 && int64(len(one.Frame)) > bytes {
			t.Fatalf("a batch of %d items has %d bytes, more than %d", one.N, len(one.Frame), bytes)
		}
	}
	if n != before {
		t.Fatalf("%d items were taken of %d", n, before)
	}
	return all
}

func same(t *rapid.T, all []batch.Batch, first int64, items []string) {
	t.Helper()
	at := first
	for _, b := range all {
		if err := b.Check(); err != nil || b.First != at || b.Source != "s" {
			t.Fatalf("a batch at %d of %q, %v; the last one ended at %d", b.First, b.Source, err, at)
		}
		r := batch.Read(b.Frame)
		for item, failed, ok := r.Next(); ok; item, failed, ok = r.Next() {
			text := string(item)
			if failed {
				text = "failed " + batch.ParseFailure(item).Message
			}
			if text != items[at-first] {
				t.Fatalf("item %d is %q, not %q", at, text, items[at-first])
			}
			at++
		}
	}
	if at != first+int64(len(items)) {
		t.Fatalf("the batches end at %d", at)
	}
}

func TestBatcherHeedsItsLimit(t *testing.T) {
	t.Parallel()
	b := NewBatcher("s", 0, broker.Bounds{})
	b.Limit(Portion{Items: 10, Batches: pendingBatches})
	for at := range 25 {
		b.End(append(b.Begin(), byte(at)))
	}
	if all := b.Take(); len(all) != 3 || all[0].N != 10 || all[1].N != 10 || all[2].N != 5 {
		t.Errorf("25 items with a limit of 10: %d batches", len(all))
	}
	b.Limit(Portion{Items: 1 << 30, Batches: pendingBatches})
	for range batchItems + 1 {
		b.End(b.Begin())
	}
	if all := b.Take(); len(all) != 2 || all[0].N != batchItems {
		t.Errorf("no limit: %d batches, the first of %d", len(all), all[0].N)
	}
	big := make([]byte, batch.MaxBytes)
	for range 2 {
		b.End(append(b.Begin(), big...))
	}
	if !b.Full() {
		t.Error("two items of the largest batch are not enough")
	}
	if all := b.Take(); len(all) != 2 || all[0].N != 1 {
		t.Errorf("an item of the largest batch is not alone: %d batches", len(all))
	}
}

func TestPortionForCost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cost             time.Duration
		stored, inFlight int64
		want             Portion
	}{
		{0, 0, 0, Portion{1, firstBatches, 0}}, {0, 63, 63, Portion{1, firstBatches, 0}},
		{0, 640, 0, Portion{10, firstBatches, 0}}, {0, 6400, 0, Portion{400, firstBatches, 0}}, {0, 1 << 40, 1 << 40, Portion{batchItems, firstBatches, 0}},
		{time.Second, 0, 0, Portion{1, pendingBatches, 0}}, {target, 0, 0, Portion{1, pendingBatches, backlogItems}},
		{target / 100, 0, 0, Portion{100, pendingBatches, backlogItems}}, {1, 1 << 40, 0, Portion{batchItems, pendingBatches, backlogItems}},
		{20 * time.Millisecond, 1 << 40, 2 * backlogBatches, Portion{2, pendingBatches, 4}},
		{20 * time.Millisecond, 1 << 40, 1 << 18, Portion{4, pendingBatches, 4}},
		{target, 1 << 40, 1 << 18, Portion{backlogItems, pendingBatches, backlogItems}},
		{target / 100, 1 << 40, 1 << 18, Portion{100, pendingBatches, backlogItems}},
		{time.Second, 1 << 40, 1 << 18, Portion{1, pendingBatches, 0}},
	} {
		if got := portionFor(c.cost, c.stored, c.inFlight); got != c.want {
			t.Errorf("an item of %v after %d: %+v, not %+v", c.cost, c.stored, got, c.want)
		}
	}
}

// A batch of dear items grows while more items wait than one send takes, and shrinks afterwards. Workers that
// finish one item each before the next send would idle until then.
func TestBatchesGrowWhileTheInputIsFaster(t *testing.T) {
	t.Parallel()
	b := NewBatcher("s", 0, broker.Bounds{})
	dear := portionFor(10*time.Millisecond, 1, 0)
	send := func(most int) (sizes []int) {
		b.Limit(dear)
		for range most {
			if b.Full() {
				break
			}
			b.End(append(b.Begin(), '1'))
		}
		for _, one := range b.Take() {
			sizes = append(sizes, one.N)
		}
		return slices.Compact(sizes)
	}
	for i, want := range []int{1, 2, 4, backlogItems, backlogItems} {
		if got := send(1 << 20); len(got) != 1 || got[0] != want {
			t.Errorf("send %d: batches of %d items, not %d", i, got, want)
		}
	}
	for i, want := range []int{8, 4, 2, 1, 1} {
		if got := send(want); len(got) != 1 || got[0] != want {
			t.Errorf("send %d of few items: batches of %d items, not %d", i, got, want)
		}
	}
	if got := send(4); len(got) != 1 || got[0] != 1 {
		t.Errorf("four items that came alone: batches of %d", got)
	}
}

// A bound of bytes holds for short items too, of which many are added at once.
func TestSpareHeedsABoundOfBytes(t *testing.T) {
	t.Parallel()
	b := NewBatcher("s", 0, broker.Bounds{MaxBytes: 10 * batch.Short})
	b.Limit(Portion{Items: batchItems, Batches: pendingBatches})
	long := func(open *batch.Builder, from, to int) {
		for range to - from {
			open.Value(make([]byte, batch.Short-1))
		}
	}
	for n := b.Spare(); n > 0; n = b.Spare() {
		b.Fill(n, long)
	}
	if n := b.Len(); n != 10 || !b.Full() || b.Spare() != 0 {
		t.Errorf("%d items have collected, and %d may still", n, b.Spare())
	}
	for _, cut := range b.Take() {
		if len(cut.Frame) > 10*batch.Short && cut.N > 1 {
			t.Errorf("a batch of %d items has %d bytes", cut.N, len(cut.Frame))
		}
	}
}
