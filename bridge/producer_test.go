package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

func produces[T any](t *testing.T, ex *executor.Executor, opts ...bridge.ScatterOption) *bridge.Producer[T] {
	t.Helper()
	return must(bridge.NewProducer[T](t.Context(), ex, opts...))(t)
}

func length[T any](t *testing.T, q *executor.Queue[T]) int {
	t.Helper()
	return must(q.Len(t.Context()))(t)
}

func TestSendReturnsAfterTheValueIsStored(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[string](t, ex)
		for i, text := range []string{"a", "", strings.Repeat("long ", 10_000)} {
			if err := p.Send(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			if n := length(t, p.Queue()); n != i+1 {
				t.Errorf("%d values are stored after %d calls", n, i+1)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		want(t, values(t, p.Queue()), "a", "", strings.Repeat("long ", 10_000))
	})
}

// Each sender's values keep their order, and come once.
func TestConcurrentSendersShareBatches(t *testing.T) {
	type message struct{ Sender, Number int }
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		const senders, each = 64, 50
		p := produces[message](t, ex)
		var sending sync.WaitGroup
		for sender := range senders {
			sending.Go(func() {
				for i := range each {
					if err := p.Send(t.Context(), message{sender, i}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		sending.Wait()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		var next [senders]int
		for m, err := range bridge.All(t.Context(), p.Queue()) {
			if err != nil || m.Number != next[m.Sender] {
				t.Fatalf("%v, %v where number %d of sender %d is due", m, err, next[m.Sender], m.Sender)
			}
			next[m.Sender]++
		}
		if slices.ContainsFunc(next[:], func(n int) bool { return n != each }) {
			t.Errorf("of %d values of each sender came %v", each, next)
		}
	})
}

func TestSendAllKeepsTheOrder(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ints, texts := produces[int](t, ex), produces[string](t, ex)
		all := make([]string, 3000)
		for i := range all {
			all[i] = strings.Repeat(fmt.Sprint(i), 100)
		}
		err := errors.Join(ints.SendAll(t.Context(), upTo(30_000)), ints.SendAll(t.Context(), nil), ints.SendAll(t.Context(), []int{30_000}),
			texts.SendAll(t.Context(), all))
		if n := length(t, ints.Queue()); err != nil || n != 30_001 {
			t.Fatalf("%d values are stored, %v", n, err)
		}
		if err := errors.Join(ints.Close(), texts.Close()); err != nil {
			t.Fatal(err)
		}
		want(t, values(t, ints.Queue()), upTo(30_001)...)
		want(t, values(t, texts.Queue()), all...)
	})
}

func TestAValueThatCannotBeEncodedIsAnError(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		floats := produces[[]float64](t, ex)
		nan := []float64{0, 0}
		nan[1] = nan[0] / nan[1]
		var failed *executor.ItemError
		if err := floats.Send(t.Context(), nan); !errors.As(err, &failed) || failed.Code != "encode" {
			t.Errorf("a value without JSON: %v", err)
		}
		var partly *bridge.SendError
		err := floats.SendAll(t.Context(), [][]float64{{1}, {2}, nan, {3}})
		if !errors.As(err, &partly) || partly.Stored != 0 || partly.Of != 4 || !errors.As(err, &failed) || !strings.Contains(err.Error(), "value 2") {
			t.Errorf("one of four values has no JSON: %v", err)
		}
		texts, boxes := produces[string](t, ex), produces[[]string](t, ex)
		huge := strings.Repeat("x", 64<<20+1)
		for i, err := range []error{texts.Send(t.Context(), huge), texts.SendAll(t.Context(), []string{huge}), boxes.Send(t.Context(), []string{huge})} {
			if !errors.As(err, &failed) || failed.Code != "toolarge" {
				t.Errorf("%d: a value of more than 64 MiB: %v", i, err)
			}
		}
		if n := length(t, floats.Queue()) + length(t, texts.Queue()) + length(t, boxes.Queue()); n != 0 {
			t.Errorf("%d values are stored", n)
		}
		if err := errors.Join(floats.Send(t.Context(), []float64{4}), floats.Close(), texts.Close(), boxes.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A caller that leaves while there is no room takes its value along; others go on. It
// may leave during a call of the broker, and then it does not know that.
func TestSendTakesItsValueBackWhileTheQueueIsFull(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[int](t, ex, bridge.MaxSize(2))
		if err := p.SendAll(t.Context(), []int{1, 2}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		left, all, stays := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { left <- p.Send(ctx, 3) }()
		go func() { all <- p.SendAll(ctx, []int{4, 5, 6}) }()
		go func() { stays <- p.Send(t.Context(), 7) }()
		cancel()
		for range 2 {
			var err error
			select {
			case err = <-left:
			case err = <-all:
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("its context has ended: %v", err)
			}
		}
		results := must(bridge.Gather(t.Context(), p.Queue()))(t)
		var got []int
		for range 3 {
			got = append(got, (<-results).Value)
		}
		want(t, got, 1, 2, 7)
		if err := errors.Join(<-stays, p.Close()); err != nil {
			t.Error(err)
		}
		if r, ok := <-results; ok {
			t.Errorf("got %v", r)
		}
	})
}

func TestAProducerGoesOnAfterErrFull(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[int](t, ex, bridge.MaxSize(3), bridge.Overflow(bridge.OverflowFail))
		var partly *bridge.SendError
		if err := p.SendAll(t.Context(), upTo(10)); !errors.Is(err, executor.ErrFull) || !errors.As(err, &partly) || partly.Stored > 3 {
			t.Fatalf("ten values for three places: %v", err)
		}
		for range 3 - partly.Stored {
			if err := p.Send(t.Context(), 20); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Send(t.Context(), 21); !errors.Is(err, executor.ErrFull) || errors.Is(err, executor.ErrOutcomeUnknown) {
			t.Fatalf("the fourth value: %v", err)
		}
		results := must(bridge.Gather(t.Context(), p.Queue()))(t)
		for range 3 {
			<-results
		}
		waitFor(t, func() bool { return p.Send(t.Context(), 22) == nil })
		if r := <-results; r.Value != 22 || r.Err != nil {
			t.Errorf("got %v", r)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if r, ok := <-results; ok {
			t.Errorf("got %v", r)
		}
	})
}

func TestSendTellsWhatWasDropped(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[int](t, ex, bridge.MaxSize(3), bridge.Overflow(bridge.OverflowDropNewest))
		var partly *bridge.SendError
		if err := p.SendAll(t.Context(), upTo(5)); !errors.Is(err, executor.ErrDropped) || !errors.As(err, &partly) {
			t.Fatalf("five values for three places: %v", err)
		}
		dropped := 5 - partly.Stored
		for i := range 5 {
			if err := p.Send(t.Context(), i); errors.Is(err, executor.ErrDropped) {
				dropped++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		kept, gone := gathered(t, p.Queue())
		if len(kept) != 3 || gone != 7 || dropped != 7 {
			t.Errorf("%v are delivered, %d are told to the gather as dropped, %d to the senders", kept, gone, dropped)
		}
	})
}

func TestSendWithDropOldestStoresTheValue(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[int](t, ex, bridge.MaxSize(3), bridge.Overflow(bridge.OverflowDropOldest))
		for i := range 10 {
			if err := p.Send(t.Context(), i); err != nil {
				t.Fatal(i, err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		kept, gone := gathered(t, p.Queue())
		want(t, kept, 7, 8, 9)
		if gone != 7 {
			t.Errorf("%d were dropped", gone)
		}
	})
}

func TestFlushWaitsForThisProducerAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p, full := produces[int](t, ex), produces[int](t, ex, bridge.MaxSize(1))
		if err := errors.Join(full.Send(t.Context(), 1), p.Flush(t.Context()), p.Send(t.Context(), 1), p.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
		waits := make(chan error, 1)
		go func() { waits <- full.Send(t.Context(), 2) }()
		if err := errors.Join(p.Send(t.Context(), 2), p.Flush(t.Context()), p.Close(), ex.Flush(t.Context())); err != nil {
			t.Error(err)
		}
		results := must(bridge.Gather(t.Context(), full.Queue()))(t)
		<-results
		if err := errors.Join(<-waits, full.Flush(t.Context()), full.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestAfterCloseASendIsErrClosed(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[int](t, ex)
		if err := errors.Join(p.Send(t.Context(), 1), p.Close(), p.Close(), p.Queue().Err()); err != nil {
			t.Fatal(err)
		}
		<-p.Queue().Done()
		for _, err := range []error{p.Send(t.Context(), 2), p.SendAll(t.Context(), []int{2}), p.Flush(t.Context())} {
			if !errors.Is(err, executor.ErrClosed) || !strings.Contains(err.Error(), "producer is closed") {
				t.Errorf("after Close: %v", err)
			}
		}
		want(t, values(t, p.Queue()), 1)
	})
}

func TestAProducerEndsWithItsContext(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := must(bridge.NewProducer[int](ctx, ex, bridge.MaxSize(1)))(t)
		if err := errors.Join(p.Send(t.Context(), 1), p.Queue().Err()); err != nil {
			t.Fatal(err)
		}
		waits, cause := make(chan error, 1), errors.New("the service stops")
		go func() { waits <- p.Send(t.Context(), 2) }()
		cancel(cause)
		<-p.Queue().Done()
		for i, err := range []error{<-waits, p.Queue().Err(), p.Close(), p.Send(t.Context(), 3), p.Flush(t.Context())} {
			if !errors.Is(err, cause) {
				t.Errorf("%d: %v", i, err)
			}
		}
		results := must(bridge.Gather(t.Context(), p.Queue()))(t)
		if r := <-results; r.Value != 1 || r.Err != nil {
			t.Errorf("got %v", r)
		}
		if r := <-results; !errors.Is(r.Err, executor.ErrTruncated) {
			t.Errorf("got %v", r)
		}
	})
}

func TestSendAfterTheQueueWasDeleted(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		p := produces[int](t, ex, bridge.Name("orders"), bridge.MaxSize(1))
		if err := p.Send(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		waits := make(chan error, 1)
		go func() { waits <- p.Send(t.Context(), 2) }()
		if err := ex.Delete(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		<-p.Queue().Done()
		for i, err := range []error{<-waits, p.Queue().Err(), p.Send(t.Context(), 3), p.Close()} {
			if !errors.Is(err, executor.ErrQueueNotFound) {
				t.Errorf("%d: %v", i, err)
			}
		}
	})
}

func TestSendAfterTheExecutorWasClosed(t *testing.T) {
	ex := connect(t, "")
	p := produces[int](t, ex)
	if err := ex.Close(); err != nil {
		t.Fatal(err)
	}
	for i, err := range []error{p.Send(t.Context(), 1), p.Flush(t.Context()), p.Close(), p.Queue().Err()} {
		if !errors.Is(err, executor.ErrClosed) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if _, err := bridge.NewProducer[int](t.Context(), ex); !errors.Is(err, executor.ErrClosed) {
		t.Errorf("a new producer: %v", err)
	}
}

func TestASuccessorFencesTheProducerOfADurableSource(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		durable := []bridge.ScatterOption{bridge.Name("orders"), bridge.DurableSource("eu"), bridge.Seal()}
		first := produces[int](t, ex, durable...)
		if err := first.SendAll(t.Context(), []int{0, 1, 2}); err != nil {
			t.Fatal(err)
		}
		second := produces[int](t, ex, durable...)
		if err := second.Send(t.Context(), 3); err != nil || second.Queue().Stored() != 3 {
			t.Errorf("the successor goes on behind %d values: %v", second.Queue().Stored(), err)
		}
		if err := first.Send(t.Context(), 99); !errors.Is(err, executor.ErrFenced) {
			t.Errorf("the predecessor sends: %v", err)
		}
		ctx, leave := context.WithCancel(t.Context())
		third := must(bridge.NewProducer[int](ctx, ex, durable...))(t)
		if err := third.Send(t.Context(), 4); err != nil {
			t.Error(err)
		}
		leave()
		<-third.Queue().Done()
		last := produces[int](t, ex, durable...)
		if err := errors.Join(last.Send(t.Context(), 5), last.Close()); err != nil {
			t.Error(err)
		}
		results := must(bridge.Gather(t.Context(), last.Queue()))(t)
		for next := range 6 {
			if r := <-results; r.Value != next || r.Err != nil {
				t.Errorf("%v in the place of %d", r, next)
			}
		}
		if err := ex.Delete(t.Context(), "orders"); err != nil {
			t.Error(err)
		}
	})
}

func TestAProducerLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := must(executor.New(t.Context(), ""))(t)
		p := produces[int](t, ex, bridge.Linger(time.Minute))
		begin := time.Now()
		sent := make(chan error, 3)
		for i := range 2 {
			go func() { sent <- p.Send(t.Context(), i) }()
		}
		if err := errors.Join(<-sent, <-sent); err != nil || time.Since(begin) != time.Minute {
			t.Errorf("two values were stored after %v, %v", time.Since(begin), err)
		}
		begin = time.Now()
		go func() { sent <- p.Send(t.Context(), 2) }()
		synctest.Wait()
		if err := errors.Join(p.Flush(t.Context()), <-sent); err != nil || time.Since(begin) != 0 {
			t.Errorf("flushed after %v, %v", time.Since(begin), err)
		}
		go func() { sent <- p.Send(t.Context(), 3) }()
		synctest.Wait()
		if err := errors.Join(p.Close(), <-sent, ex.Close()); err != nil || time.Since(begin) != 0 {
			t.Errorf("closed after %v, %v", time.Since(begin), err)
		}
	})
}

func TestNewProducerRefusesWhatScatterRefuses(t *testing.T) {
	ex := connect(t, "")
	for i, opts := range [][]bridge.ScatterOption{
		{bridge.MaxSize(0)}, {bridge.DurableSource("a")}, {bridge.Name("a{b")}, {bridge.WithCodec(workers.Raw())},
	} {
		if p, err := bridge.NewProducer[int](t.Context(), ex, opts...); err == nil || p != nil {
			t.Errorf("%d: it is not refused", i)
		}
	}
}
