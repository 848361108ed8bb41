package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// Results and errors name their items, in any order and behind Multiplex.
func TestResultsNameTheirItems(t *testing.T) {
	odd := workers.Define("odd", func(_ context.Context, x int) (int, error) {
		if x%2 == 0 {
			return 0, errors.New("even")
		}
		return x, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(3000), bridge.Name("numbers"), bridge.DurableSource("file-7"), bridge.Seal())
		names := []string{"numbers"}
		for i, branch := range must(executor.Multiplex(t.Context(), 2, q))(t) {
			name := fmt.Sprint("odd-", i)
			names = append(names, branch.Name(), name)
			out := stage(t, odd, branch, executor.Name(name))
			seen := make([]bool, 3000)
			for all := range must(bridge.GatherSlices(t.Context(), out, bridge.Unordered()))(t) {
				for _, r := range all {
					at := r.Offset()
					if r.Source() != "file-7" || seen[at] {
						t.Fatalf("item %d of source %q came again or is none", at, r.Source())
					}
					seen[at] = true
					var item *executor.ItemError
					if failed := errors.As(r.Err, &item); failed != (at%2 == 0) || !failed && r.Value != int(at) {
						t.Fatalf("item %d is %v, %v", at, r.Value, r.Err)
					} else if failed && (item.Source != "file-7" || item.Offset != at) {
						t.Fatalf("the error of item %d says %s %d", at, item.Source, item.Offset)
					}
				}
			}
			if slices.Contains(seen, false) {
				t.Error("items are missing")
			}
		}
		deleteAll(t, ex, names...)
	}, odd)
}

// An error of a source is none of an item.
func TestErrorsOfSourcesAreTold(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancel(t.Context())
		in := make(chan int)
		q := must(bridge.Scatter(ctx, ex, in, bridge.Name("numbers")))(t)
		results := must(bridge.Gather(t.Context(), q))(t)
		in <- 1
		if r := <-results; r.Err != nil || bridge.IsItemError(r.Err) || bridge.IsSourceError(r.Err) {
			t.Errorf("got %v", r)
		}
		cancel()
		r := <-results
		if !bridge.IsSourceError(r.Err) || bridge.IsItemError(r.Err) || !errors.Is(r.Err, executor.ErrTruncated) || r.Source() == "" {
			t.Errorf("the end of the source is %v of source %q", r.Err, r.Source())
		}
		deleteAll(t, ex, "numbers")
	})
}

func TestAckThroughAcknowledgesAllBefore(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		a := scatter(t, ex, upTo(2000), bridge.Name("numbers"))
		ctx, cancel := context.WithCancel(t.Context())
		results := must(bridge.Gather(ctx, a, bridge.ManualAck()))(t)
		var last bridge.Result[int]
		for range 1500 {
			if last = <-results; last.Value == 700 {
				last.Nack(time.Hour)
			}
		}
		last.AckThrough()
		last.AckThrough()
		cancel()
		for range results {
		}
		again := must(bridge.Gather(t.Context(), a, bridge.ManualAck(), bridge.Unordered()))(t)
		var got []int
		for range 501 {
			r := <-again
			got = append(got, r.Value)
			r.AckThrough()
		}
		slices.Sort(got)
		if wanted := append([]int{700}, upTo(2000)[1500:]...); !slices.Equal(got, wanted) {
			t.Errorf("%d came again: %v", len(got), got)
		}
		deleteAll(t, ex, "numbers")
	})
}

func TestErrConsumerExistsNamesTheHolder(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(1), bridge.Name("numbers"))
		ctx, cancel := context.WithCancel(t.Context())
		results := must(bridge.Gather(ctx, q, bridge.ManualAck()))(t)
		host, _ := os.Hostname()
		_, err := bridge.Gather(t.Context(), q)
		for _, part := range []string{"process " + strconv.Itoa(os.Getpid()), "host " + host, "heartbeat was", "bridge.Wait"} {
			if !errors.Is(err, executor.ErrConsumerExists) || !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		cancel()
		for range results {
		}
		deleteAll(t, ex, "numbers")
	})
}
