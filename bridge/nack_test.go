package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// Items of many entries that were run in one call are acknowledged and given back one by one.
func TestItemsThatWereRunTogetherAreAckedOneByOne(t *testing.T) {
	const n = 3000
	var mu sync.Mutex
	largest := 0
	together := workers.DefineBatch("together", func(_ context.Context, xs []int) ([]int, error) {
		mu.Lock()
		defer mu.Unlock()
		largest = max(largest, len(xs))
		return xs, nil
	}, workers.BatchSize(100, 1000))
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := must(executor.Map(t.Context(), together, scatter(t, ex, upTo(n), bridge.MaxBatch(10))))(t)
		times := make([]int, n)
		for r := range must(bridge.Gather(t.Context(), q, bridge.ManualAck()))(t) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			if times[r.Value]++; r.Deliveries() == 1 && r.Value%7 == 0 {
				r.Nack(0)
				continue
			}
			r.Ack()
		}
		for v, k := range times {
			if k > 2 || (k == 2) != (v%7 == 0) {
				t.Fatalf("%d was delivered %d times", v, k)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if largest < 20 {
			t.Errorf("the largest call had %d items", largest)
		}
	}, together)
}

func TestNackBringsTheResultAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(100), bridge.Name("numbers"), bridge.Seal())
		defer removeQueue(t, ex, "numbers")
		ctx, cancel := context.WithCancel(t.Context())
		results := must(bridge.Gather(ctx, q, bridge.ManualAck()))(t)
		var again []int
		old := map[int]bridge.Result[int]{}
		for range 110 {
			r := <-results
			switch {
			case r.Deliveries() == 1 && r.Value%10 != 3:
				r.Ack()
			case r.Deliveries() == 1:
				old[r.Value] = r
				r.Nack(time.Millisecond)
				r.Nack(0)
				r.Ack() // too late
			case r.Deliveries() == 2 && r.Value > 50:
				again = append(again, r.Value)
				old[r.Value].Ack() // of another delivery
				if err := r.AckWait(t.Context()); err != nil {
					t.Error(err)
				}
			case r.Deliveries() == 2:
				again = append(again, r.Value)
				old[r.Value].Ack()
				r.Nack(time.Hour) // a successor does not wait for it
			default:
				t.Errorf("%d is delivered %d times", r.Value, r.Deliveries())
			}
		}
		slices.Sort(again)
		if want := []int{3, 13, 23, 33, 43, 53, 63, 73, 83, 93}; !slices.Equal(again, want) {
			t.Errorf("%v come again, not %v", again, want)
		}
		cancel()
		cut(t, results, context.Canceled)
		var left []int
		for r := range must(bridge.Gather(t.Context(), q, bridge.ManualAck()))(t) {
			left = append(left, r.Value)
			if r.Deliveries() != 3 {
				t.Errorf("%d is delivered %d times to the successor", r.Value, r.Deliveries())
			}
			r.Ack()
		}
		if want := []int{3, 13, 23, 33, 43}; !slices.Equal(left, want) {
			t.Errorf("the successor gets %v, not %v", left, want)
		}
	})
}

// The stream ends once the items that were given back are acknowledged, and not before.
func TestAnItemThatIsGivenBackTooOftenIsADeadLetter(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(50), bridge.Name("numbers"), bridge.Seal())
		defer removeQueue(t, ex, "numbers")
		ctx, cancel := context.WithCancel(t.Context())
		opts := []bridge.GatherOption{bridge.ManualAck(), bridge.MaxDeliveries(3), bridge.MaxUnacked(7)}
		rejected := func(r bridge.Result[int]) bool {
			var item *executor.ItemError
			return errors.As(r.Err, &item) && item.Code == "rejected" && item.Attempts == 3
		}
		results, first := must(bridge.Gather(ctx, q, opts...))(t), 0
		for first == 0 {
			switch r := <-results; {
			case rejected(r):
				first++ // not acknowledged
			case r.Value == 20 || r.Value == 21:
				r.Nack(0)
			default:
				r.Ack()
			}
		}
		cancel()
		for range results {
		}
		dead := 0
		for r := range must(bridge.Gather(t.Context(), q, opts...))(t) {
			switch {
			case rejected(r):
				if dead++; r.Deliveries() < 4 {
					t.Errorf("it is delivered %d times", r.Deliveries())
				}
				r.Ack()
			case r.Value == 20 || r.Value == 21:
				r.Nack(0)
			case r.Err != nil:
				t.Error(r.Err)
			default:
				r.Ack()
			}
		}
		if dead != 2 {
			t.Errorf("%d errors in the places of 2 items", dead)
		}
		wantLetters(t, ex)
	})
}

// wantLetters wants the dead letters 20 and 21 of the queue numbers, and drops them.
func wantLetters(t *testing.T, ex *executor.Executor) {
	t.Helper()
	var letters []int64
	for d, err := range ex.DeadLetters(t.Context()) {
		if err != nil || d.Queue != "numbers" || d.Items != 1 || d.Why.Code != "rejected" || d.Scattered.IsZero() || d.Scattered.After(d.At) {
			t.Errorf("got %+v, %v", d, err)
		}
		letters = append(letters, d.Offset)
		if items, err := ex.DeadLetterItems(t.Context(), d.ID); err != nil || string(items[0]) != fmt.Sprint(d.Offset) {
			t.Errorf("the item is %q, %v", items, err)
		}
		if err := ex.DeleteDeadLetter(t.Context(), d.ID); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(letters)
	if !slices.Equal(letters, []int64{20, 21}) {
		t.Errorf("the dead letters are %v", letters)
	}
}

func removeQueue(t *testing.T, ex *executor.Executor, queue string) {
	t.Helper()
	if err := ex.Delete(context.WithoutCancel(t.Context()), queue); err != nil {
		t.Error(err)
	}
}

func TestAckWaitReturnsOnceTheAcknowledgementIsStored(t *testing.T) {
	ns := testkit.Namespace(t)
	ex := must(executor.New(t.Context(), testkit.SharedRedis(t).URL()+"/?ns="+ns))(t)
	defer ex.Close()
	raw := redis.NewClient(&redis.Options{Addr: testkit.SharedRedis(t).Addr(), Protocol: 2})
	defer raw.Close()
	q := scatter(t, ex, upTo(100), bridge.Name("numbers"), bridge.Seal())
	i := 0
	for r := range must(bridge.Gather(t.Context(), q, bridge.ManualAck()))(t) {
		i++
		if i == 100 {
			r.Ack() // it is the last one
			continue
		}
		if err := r.AckWait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if marks := raw.HVals(t.Context(), "{"+ns+":0}:d:numbers").Val(); !slices.Equal(marks, []string{fmt.Sprint(i)}) {
			t.Fatalf("%d items are confirmed, and stored are %q", i, marks)
		}
	}
	removeQueue(t, ex, "numbers")
}

// An item that AckWait has confirmed comes to no gather again.
func TestAckWaitOfManyAndOfWhatCannotBeAcknowledged(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, upTo(64), bridge.Name("numbers"), bridge.Seal())
		defer removeQueue(t, ex, "numbers")
		ctx, cancel := context.WithCancel(t.Context())
		results := must(bridge.Gather(ctx, q, bridge.ManualAck()))(t)
		var all []bridge.Result[int]
		for range 64 {
			all = append(all, <-results)
		}
		var group sync.WaitGroup
		for _, r := range all[:60] {
			group.Go(func() {
				for range 2 {
					if err := r.AckWait(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		all[60].Nack(0)
		if err := all[60].AckWait(t.Context()); err == nil || !strings.Contains(err.Error(), "given back by Nack") {
			t.Errorf("after Nack: %v", err)
		}
		cancel()
		for range results {
		}
		if err := all[61].AckWait(t.Context()); !errors.Is(err, bridge.ErrOver) || !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v", err)
		}
		if err := all[59].AckWait(t.Context()); err != nil {
			t.Errorf("of what was acknowledged before the end: %v", err)
		}
		var again []int
		for r := range must(bridge.Gather(t.Context(), q))(t) {
			again = append(again, r.Value)
			if err := r.AckWait(t.Context()); err == nil {
				t.Error("a result without ManualAck is confirmed")
			}
		}
		if !slices.Equal(again, []int{60, 61, 62, 63}) {
			t.Errorf("%v come again", again)
		}
	})
}

func TestMaxUnackedBoundsWhatIsHandedOut(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		out := must(bridge.GatherSlices(t.Context(), scatter(t, ex, upTo(1000)), bridge.ManualAck(), bridge.MaxUnacked(10), bridge.Buffer(100)))(t)
		seen, unacked := 0, []bridge.Result[int]{}
		for slice := range out {
			for _, r := range slice {
				if r.Value != seen || r.Err != nil {
					t.Fatalf("%v in the place of %d", r, seen)
				}
				seen++
				if unacked = append(unacked, r); len(unacked) > 10 {
					t.Fatalf("%d are handed out", len(unacked))
				}
			}
			if len(unacked) == 10 || seen == 1000 {
				bridge.AckAll(unacked[:min(7, len(unacked))])
				unacked = unacked[min(7, len(unacked)):]
			}
			if seen == 1000 {
				bridge.AckAll(unacked)
			}
		}
		if seen != 1000 {
			t.Errorf("%d of 1000", seen)
		}
	})
}

func TestOptionsOfManualAckAreRefusedWithoutIt(t *testing.T) {
	ex := must(executor.New(t.Context(), "", executor.Logger(nil)))(t)
	defer ex.Close()
	q := scatter(t, ex, upTo(1))
	for _, opt := range []bridge.GatherOption{bridge.MaxUnacked(1), bridge.MaxDeliveries(1)} {
		if _, err := bridge.Gather(t.Context(), q, opt); err == nil {
			t.Error("the option is accepted without ManualAck")
		}
	}
	for _, opt := range []bridge.GatherOption{bridge.MaxUnacked(0), bridge.MaxUnacked(16385), bridge.MaxDeliveries(0), bridge.MaxHeld(0)} {
		if _, err := bridge.Gather(t.Context(), q, bridge.ManualAck(), opt); err == nil {
			t.Error("a bound that cannot be is accepted")
		}
	}
	for r := range must(bridge.Gather(t.Context(), q))(t) {
		r.Nack(0)
		if r.Err != nil || r.Deliveries() != 1 {
			t.Errorf("got %v", r)
		}
	}
}
