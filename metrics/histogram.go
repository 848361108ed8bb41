package metrics

import (
	"iter"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/dqbridge/dqbridge/inspect"
)

// The buckets of a stage: those of a native histogram of schema 2. Bucket i holds times up to 2^(i/4)
// seconds.
const (
	schema      = 2
	firstBucket = -119
	lastBucket  = 65
	buckets     = lastBucket - firstBucket + 1
)

// The classic buckets are the powers of two from a microsecond to a quarter of an hour.
const (
	firstPower = -20
	lastPower  = 10
)

// bucketOf returns the bucket with an upper bound.
func bucketOf(upperSeconds float64) int {
	i := int(math.Round(4 * math.Log2(upperSeconds)))
	return min(max(i, firstBucket), lastBucket)
}

// A bothHistogram is a histogram in both forms. A scrape takes the one that it asks for.
type bothHistogram struct {
	native  prometheus.Metric
	buckets []*dto.Bucket
}

// bucketsOf returns the counts of all buckets, in their order. Buckets of the same number are added up.
func bucketsOf(each iter.Seq2[float64, int64]) []int64 {
	n := make([]int64, buckets)
	for bound, count := range each {
		n[bucketOf(bound)-firstBucket] += count
	}
	return n
}

// upperBounds yields the buckets of an inspect.Histogram with their bounds.
func upperBounds(times []inspect.Bucket) iter.Seq2[float64, int64] {
	return func(yield func(float64, int64) bool) {
		for _, b := range times {
			if !yield(b.UpperSeconds, b.Count) {
				return
			}
		}
	}
}

// sendHistogram sends the counts of all buckets, in their order, and the sum of the times.
func (f family) sendHistogram(to chan<- prometheus.Metric, counts []int64, sum time.Duration, labels ...string) {
	native, total := map[int]int64{}, uint64(0)
	classic := map[float64]uint64{}
	next := 0
	for power := firstPower; power <= lastPower; power += f.step {
		for ; next < len(counts) && firstBucket+next <= 4*power; next++ {
			total += uint64(counts[next])
		}
		classic[math.Exp2(float64(power))] = total
	}
	for _, count := range counts[next:] {
		total += uint64(count)
	}
	for i, count := range counts {
		if count > 0 {
			native[firstBucket+i] = count
		}
	}
	m, err := newBoth(f.desc, total, sum.Seconds(), native, classic, labels)
	if err != nil {
		m = prometheus.NewInvalidMetric(f.desc, err)
	}
	to <- m
}

func newBoth(desc *prometheus.Desc, n uint64, sum float64, native map[int]int64, classic map[float64]uint64, labels []string) (prometheus.Metric, error) {
	made, err := prometheus.NewConstNativeHistogram(desc, n, sum, native, nil, 0, schema, 0, time.Time{}, labels...)
	if err != nil {
		return nil, err
	}
	other, err := prometheus.NewConstHistogram(desc, n, sum, classic, labels...)
	if err != nil {
		return nil, err
	}
	var written dto.Metric
	if err := other.Write(&written); err != nil {
		return nil, err
	}
	return bothHistogram{made, written.GetHistogram().GetBucket()}, nil
}

// Desc returns the description.
func (b bothHistogram) Desc() *prometheus.Desc { return b.native.Desc() }

// Write writes both forms. The time of the creation is not known.
func (b bothHistogram) Write(to *dto.Metric) error {
	if err := b.native.Write(to); err != nil {
		return err
	}
	to.Histogram.Bucket, to.Histogram.CreatedTimestamp = b.buckets, nil
	return nil
}
