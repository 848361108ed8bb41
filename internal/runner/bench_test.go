package runner

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

func plusOne(_ context.Context, x int) (int, error) { return x + 1, nil }

func plusOnes(_ context.Context, xs []int) ([]int, error) {
	for i := range xs {
		xs[i]++
	}
	return xs, nil
}

func same(_ context.Context, s string) (string, error) { return s, nil }

// pass is a middleware that does only call the function.
func pass(next Handler) (Handler, error) {
	return func(ctx context.Context, in Invocation) error { return next(ctx, in) }, nil
}

// repeated returns a batch of n times the item.
func repeated(n int, item string) batch.Batch {
	var b batch.Builder
	for range n {
		b.Value([]byte(item))
	}
	return batch.Batch{Source: "s", N: n, Frame: b.Take()}
}

func benchRun(b *testing.B, f *Function, c Call) {
	b.Helper()
	r := f.New()
	allocs := testing.AllocsPerRun(10, func() { r.Run(b.Context(), c) })
	b.ReportAllocs()
	for b.Loop() {
		if done := r.Run(b.Context(), c); done.N != c.Batch.N || done.Failed > 0 {
			b.Fatalf("%+v", done)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.Batch.N), "ns/item")
	b.ReportMetric(allocs/float64(c.Batch.N), "allocs/item")
}

func BenchmarkRun(b *testing.B) {
	for _, n := range []int{1, 16, 256, 1024, 4096} {
		c := Call{Batch: repeated(n, "1234567"), ShouldYield: func() bool { return false }}
		b.Run(fmt.Sprintf("int/%d", n), func(b *testing.B) { benchRun(b, define("inc", plusOne), c) })
		b.Run(fmt.Sprintf("batch/%d", n), func(b *testing.B) { benchRun(b, defineBatch("inc", plusOnes), c) })
	}
	for _, n := range []int{0, 1, 3} {
		handler, err := Chain(slices.Repeat([]Middleware{pass}, n))
		if err != nil {
			b.Fatal(err)
		}
		c := Call{Batch: repeated(1024, "1234567"), Attempt: 1, ShouldYield: func() bool { return false }, Handler: handler}
		b.Run(fmt.Sprintf("middleware/%d", n), func(b *testing.B) { benchRun(b, define("inc", plusOne), c) })
		b.Run(fmt.Sprintf("middleware/batch/%d", n), func(b *testing.B) { benchRun(b, defineBatch("inc", plusOnes), c) })
	}
	limited := Call{Batch: repeated(1024, "1234567"), Timeout: time.Hour}
	b.Run("timeout/1024", func(b *testing.B) { benchRun(b, define("inc", plusOne), limited) })
	for _, size := range []int{16, 1024} {
		c := Call{Batch: repeated(1024, strings.Repeat("x", size))}
		b.Run("string/1024x"+strconv.Itoa(size), func(b *testing.B) { benchRun(b, define("same", same), c) })
	}
}

func TestRunDoesNotAllocateForEachItem(t *testing.T) {
	const n = 1024
	handler, err := Chain([]Middleware{pass, pass})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Function{define("inc", plusOne), defineBatch("inc", plusOnes)} {
		for _, h := range []Handler{nil, handler} {
			r := f.New()
			c := Call{Batch: repeated(n, "1234567"), Handler: h}
			r.Run(t.Context(), c)
			if allocs := testing.AllocsPerRun(20, func() { r.Run(t.Context(), c) }); allocs > 35 {
				t.Errorf("%v allocations in a batch of %d items", allocs, n)
			}
		}
	}
}

// A timeout costs an item its context, and no goroutine or channel.
func TestATimeoutCostsAnItemOnlyItsContext(t *testing.T) {
	const n = 1024
	r := define("inc", plusOne).New()
	c := Call{Batch: repeated(n, "1234567"), Timeout: time.Hour}
	context := testing.AllocsPerRun(100, func() {
		_, cancel := context.WithTimeout(t.Context(), time.Hour)
		cancel()
	})
	if allocs := testing.AllocsPerRun(20, func() { r.Run(t.Context(), c) }); allocs > (context+0.5)*n {
		t.Errorf("%v allocations for an item, %v of them for its context", allocs/n, context)
	}
}
