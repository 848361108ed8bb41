package workers

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A batch function gets batches in which the start of a call is not what most of
// the time goes into, and no larger ones.
func TestBatchesGrowUntilTheStartOfACallIsSmall(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		start, item time.Duration
		least, most int
	}{
		{25 * ms, time.Microsecond, 4096, 4096},
		{25 * ms, ms, 30, 80},
		{2 * ms, time.Microsecond, 4096, 4096},
		{2 * ms, 100 * time.Microsecond, 60, 160},
		{0, ms, 7, 13},
		{0, 100 * ms, 1, 1},
		{0, time.Second, 1, 1},
		{time.Second, time.Second, 1, 1},
		{100 * time.Microsecond, 10 * time.Microsecond, 600, 1500},
	} {
		r := &route{function: &function{whole: true}}
		rng := rand.New(rand.NewPCG(1, 2))
		size := 1
		for range 200 {
			noise := math.Exp(rng.NormFloat64() * 0.1)
			r.learn(time.Duration(noise*float64(c.start+time.Duration(size)*c.item)), size)
			size = int(max(1, min(aim/r.cost(), 4096)))
		}
		if size < c.least || size > c.most {
			t.Errorf("a call of %v and %v an item: batches of %d, not of %d to %d", c.start, c.item, size, c.least, c.most)
		}
	}
}
