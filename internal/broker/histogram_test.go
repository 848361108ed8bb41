package broker

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// exactBucket returns the largest i for which 2^i is at most seconds^4, in exact arithmetic.
func exactBucket(seconds float64) int {
	v := new(big.Float).SetPrec(400).SetFloat64(seconds)
	v.Mul(v, v)
	v.Mul(v, v)
	return min(max(v.MantExp(nil)-1, firstBucket), lastBucket)
}

// The buckets are exact over more than 13 decades, also at the numbers beside each bound.
func TestBucketsAreExact(t *testing.T) {
	t.Parallel()
	check := func(seconds float64) {
		if got, want := bucketOf(seconds), exactBucket(seconds); got != want {
			t.Fatalf("%v s is in bucket %d, want %d", seconds, got, want)
		}
	}
	for i := firstBucket; i <= lastBucket; i++ {
		bound := math.Exp2(float64(i) / 4)
		below, above := bound, bound
		for range 4 {
			below, above = math.Nextafter(below, 0), math.Nextafter(above, 1e9)
			check(below)
			check(above)
		}
		check(bound)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		check(math.Pow(10, random.Float64()*15-9.5))
	}
	for seconds, want := range map[float64]int{0: firstBucket, -1: firstBucket, 1e-300: firstBucket, 1: 0, 2: 4, 0.5: -4, 1e300: lastBucket} {
		if got := bucketOf(seconds); got != want {
			t.Errorf("%v s is in bucket %d, want %d", seconds, got, want)
		}
	}
}

func TestQuantilesAreWithinABucket(t *testing.T) {
	t.Parallel()
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Count() != 0 {
		t.Errorf("an empty histogram has the median %v", h.Quantile(0.5))
	}
	h.Add(0, 0)
	h.Add(980*time.Millisecond, 98) // 10 ms each
	h.Add(2*time.Second, 2)
	for q, want := range map[float64]time.Duration{0: 10 * time.Millisecond, 0.5: 10 * time.Millisecond, 0.98: 10 * time.Millisecond, 0.99: time.Second, 1: time.Second} {
		got := h.Quantile(q)
		if off := math.Abs(float64(got-want)) / float64(want); off > 0.1 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	var total int64
	last := 0.0
	for bound, count := range h.Buckets {
		if bound <= last {
			t.Errorf("bound %v follows %v", bound, last)
		}
		total, last = total+count, bound
	}
	if h.Sum() != 2980*time.Millisecond {
		t.Errorf("all took %v", h.Sum())
	}
	if total != 100 || h.Count() != 100 || last != math.Exp2(0.25) {
		t.Errorf("%d items, %d in buckets, the last bound is %v", h.Count(), total, last)
	}
}

// A card keeps the buckets and the sum, in milliseconds. Buckets that do not exist are ignored.
func TestHistogramsFitIntoCards(t *testing.T) {
	t.Parallel()
	var h, none Histogram
	if none.Report() != nil || !reflect.DeepEqual((*TimesReport)(nil).Histogram(), none) {
		t.Error("an empty histogram is on a card")
	}
	h.AddEach(1500*time.Millisecond, 3)
	h.AddEach(0, 2)
	text, err := json.Marshal(h.Report())
	if err != nil || string(text) != `{"ms":4500,"b":{"-120":2,"2":3}}` {
		t.Errorf("the card has %s, %v", text, err)
	}
	var read TimesReport
	if err := json.Unmarshal([]byte(`{"ms":4500,"b":{"-120":2,"2":3,"65":9,"-121":9}}`), &read); err != nil || !maps.Equal(bucketsOf(read.Histogram()), bucketsOf(h)) || read.Sum != 4500 {
		t.Errorf("read as %v, %v", read.Histogram(), err)
	}
}

func bucketsOf(h Histogram) map[float64]int64 { return maps.Collect(h.Buckets) }

// Times that are close together need few buckets, an added time in one of them needs no memory, and a clone
// shares none of them.
func TestHistogramsHoldTheBucketsInUse(t *testing.T) { //nolint:paralleltest // it counts allocations
	var h Histogram
	h.AddEach(3*time.Millisecond, 1)
	h.Add(20*time.Millisecond, 5)
	if n := len(h.counts); n > 8 {
		t.Errorf("times from 3 to 4 ms have %d buckets", n)
	}
	if n := testing.AllocsPerRun(100, func() { h.AddEach(3*time.Millisecond, 1); h.Add(20*time.Millisecond, 5) }); n > 0 {
		t.Errorf("an added time allocates %v times", n)
	}
	before := bucketsOf(h)
	other := h.Clone()
	other.AddEach(3*time.Millisecond, 1)
	other.AddEach(time.Hour, 1)
	other.AddEach(0, 1)
	if !maps.Equal(bucketsOf(h), before) || other.Count() != h.Count()+3 {
		t.Errorf("a change of a clone of %v made %v", before, bucketsOf(h))
	}
	h.Merge(&other)
	if count := h.Count(); count != 2*other.Count()-3 || h.Quantile(0) > time.Nanosecond || h.Quantile(1) < 50*time.Minute {
		t.Errorf("merged: %d items from %v to %v", count, h.Quantile(0), h.Quantile(1))
	}
}

func BenchmarkHistogramAdd(b *testing.B) {
	var h Histogram
	for i := range b.N {
		h.Add(time.Duration(i)*time.Microsecond, 100)
	}
}
