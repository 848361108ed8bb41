package broker

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The buckets of a Histogram. Bucket i holds times from 2^(i/4) to 2^((i+1)/4) seconds. The first one
// begins at 0.9 ns and also holds all shorter times; the last one begins at 18 hours and also holds
// all longer ones.
const (
	firstBucket = -120
	lastBucket  = 64
)

// The three bounds of buckets between two powers of two: the least numbers of type float64 that are
// not below 2^(1/4), 2^(2/4) and 2^(3/4).
const (
	quarter      = 0x1.306fe0a31b716p+0
	half         = 0x1.6a09e667f3bcdp+0
	threeQuarter = 0x1.ae89f995ad3aep+0
)

// A Histogram counts items by the time that each took. Its buckets are those of a native histogram
// of Prometheus with schema 2. Its values are off by at most 9 percent. A copy of a Histogram shares its
// buckets: Clone makes an independent one.
type Histogram struct {
	counts []int64 // of the buckets in use and those between them: the times of a stage are close together
	first  int     // the bucket of counts[0]
	sum    time.Duration
}

// at returns the number of items of a bucket, to change it.
func (h *Histogram) at(bucket int) *int64 {
	if i := bucket - h.first; uint(i) < uint(len(h.counts)) {
		return &h.counts[i]
	}
	h.span(bucket, bucket)
	return &h.counts[bucket-h.first]
}

// span makes room for the buckets from one to another, in whole powers of two.
func (h *Histogram) span(from, to int) {
	old := *h
	if n := len(old.counts); n > 0 {
		from, to = min(from, old.first), max(to, old.first+n-1)
	}
	h.first = from &^ 3
	h.counts = make([]int64, (to|3)-h.first+1)
	old.each(func(bucket int, count int64) { h.counts[bucket-h.first] = count })
}

// Clone returns a copy that shares nothing with the Histogram.
func (h *Histogram) Clone() Histogram {
	return Histogram{slices.Clone(h.counts), h.first, h.sum}
}

// bucketOf returns the bucket of a time in seconds: 4 log2 of it, rounded down.
func bucketOf(seconds float64) int {
	if !(seconds >= 0x1p-30) { // the bound of the first bucket
		return firstBucket
	}
	bits := math.Float64bits(seconds)
	bucket := 4 * (int(bits>>52) - 1023)
	mantissa := math.Float64frombits(bits&(1<<52-1) | 1023<<52) // from 1 to 2
	if mantissa >= quarter {
		bucket++
	}
	if mantissa >= half {
		bucket++
	}
	if mantissa >= threeQuarter {
		bucket++
	}
	return min(bucket, lastBucket)
}

// Add counts n items that took a time together, each with the mean.
func (h *Histogram) Add(spent time.Duration, n int) {
	if n > 0 {
		*h.at(bucketOf(spent.Seconds() / float64(n))) += int64(n)
		h.sum += spent
	}
}

// Merge adds the items of another histogram.
func (h *Histogram) Merge(other *Histogram) {
	other.each(func(bucket int, count int64) { *h.at(bucket) += count })
	h.sum += other.sum
}

// AddEach counts n items that took a time each.
func (h *Histogram) AddEach(took time.Duration, n int) {
	if n > 0 {
		*h.at(bucketOf(took.Seconds())) += int64(n)
		h.sum += took * time.Duration(n)
	}
}

// Sum returns the time of all items together.
func (h *Histogram) Sum() time.Duration { return h.sum }

// Count returns the number of items.
func (h *Histogram) Count() (n int64) {
	for _, count := range h.counts {
		n += count
	}
	return n
}

// Quantile returns the time that a share q of the items took at most, for example the median with
// q = 0.5. It is the middle of a bucket, 0 without items.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(1, int64(math.Ceil(min(max(q, 0), 1)*float64(h.Count()))))
	for i, count := range h.counts {
		if rank -= count; rank <= 0 {
			middle := math.Exp2((float64(i+h.first) + 0.5) / 4)
			return time.Duration(middle * float64(time.Second))
		}
	}
	return 0
}

// Buckets calls yield for each bucket with items, in ascending order. A bucket holds times below its
// bound, in seconds.
func (h *Histogram) Buckets(yield func(bound float64, count int64) bool) {
	for i, count := range h.counts {
		if count > 0 && !yield(math.Exp2(float64(i+h.first+1)/4), count) {
			return
		}
	}
}

// each calls f for each bucket with items.
func (h *Histogram) each(f func(bucket int, count int64)) {
	for i, count := range h.counts {
		if count > 0 {
			f(i+h.first, count)
		}
	}
}

// read sets the numbers of items of the buckets in the fields of a hash: those of a prefix and the
// number of a bucket. It ignores other fields.
func (h *Histogram) read(fields map[string]string, prefix string) {
	for field, value := range fields {
		number, ok := strings.CutPrefix(field, prefix)
		if !ok {
			continue
		}
		if bucket, err := strconv.Atoi(number); err == nil {
			h.set(bucket, parseInt(value))
		}
	}
}

// A TimesReport is a Histogram on a card.
type TimesReport struct {
	Sum     int64         `json:"ms"` // of all items
	Buckets map[int]int64 `json:"b"`  // items by the number of the bucket, without empty ones
}

// Report returns the form for a card, nil without items.
func (h *Histogram) Report() *TimesReport {
	r := TimesReport{Sum: h.sum.Milliseconds(), Buckets: map[int]int64{}}
	h.each(func(bucket int, count int64) { r.Buckets[bucket] = count })
	if len(r.Buckets) == 0 {
		return nil
	}
	return &r
}

// Histogram returns the reported times, an empty Histogram for nil.
func (r *TimesReport) Histogram() (h Histogram) {
	if r == nil {
		return h
	}
	h.sum = time.Duration(r.Sum) * time.Millisecond
	for bucket, count := range r.Buckets {
		h.set(bucket, count)
	}
	return h
}

// set sets the number of items of a bucket. It ignores buckets that do not exist.
func (h *Histogram) set(bucket int, count int64) {
	if firstBucket <= bucket && bucket <= lastBucket {
		*h.at(bucket) = count
	}
}
