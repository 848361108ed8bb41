package bridge_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

func TestAQueueHasOneConsumer(t *testing.T) {
	sum := workers.Define2("sum", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []int{1})
		stage(t, inc, q)
		_, mapped := executor.Map(t.Context(), double, q)
		_, gathered := bridge.Gather(t.Context(), q)
		out := scatter(t, ex, []int{1})
		must(bridge.Gather(t.Context(), out))(t)
		_, again := bridge.Gather(t.Context(), out)
		_, over := executor.Map(t.Context(), inc, out)
		left, right := must(bridge.Scatter(t.Context(), ex, make(chan int)))(t), must(bridge.Scatter(t.Context(), ex, make(chan int)))(t)
		must(executor.Map2(t.Context(), sum, left, right))(t)
		_, zipped := executor.Map2(t.Context(), sum, left, right)
		_, half := executor.Map2(t.Context(), sum, scatter(t, ex, []int{1}), right)
		_, beside := bridge.Gather(t.Context(), left)
		for _, err := range []error{mapped, gathered, again, over, zipped, half, beside} {
			if !errors.Is(err, executor.ErrConsumerExists) || !strings.Contains(err.Error(), "Multiplex") {
				t.Errorf("got %v", err)
			}
		}
	}, inc, double, sum)
}

func TestTypesHaveToFit(t *testing.T) {
	text := workers.Remote[string, string]("inc")
	packed := workers.Remote[int, int]("inc", workers.WithCodec(workers.MsgPack()))
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		_, function := executor.Map(t.Context(), text, scatter(t, ex, []string{"a"}))
		_, format := executor.Map(t.Context(), packed, scatter(t, ex, []int{1}))
		_, other := executor.Map(t.Context(), inc, scatter(t, ex, []int{1}, bridge.WithCodec(workers.MsgPack())))
		items := scatter(t, ex, []string{"a"}, bridge.Name("texts"), bridge.Seal())
		_, opened := executor.Open[int](t.Context(), ex, "texts")
		_, scattered := bridge.Scatter(t.Context(), ex, make(chan int), bridge.Name("texts"))
		encoded := must(executor.Open[codec.Item](t.Context(), ex, "texts"))(t)
		_, mapped := executor.Map(t.Context(), workers.Remote[codec.Item, codec.Item]("inc"), encoded)
		for i, err := range []error{function, format, other, opened, scattered, mapped} {
			if !errors.Is(err, executor.ErrTypeMismatch) {
				t.Errorf("%d: %v", i, err)
			}
		}
		want(t, values(t, items), "a")
		if err := ex.Delete(t.Context(), "texts"); err != nil {
			t.Error(err)
		}
	}, inc)
}

func TestMistakesAreToldAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		in := make(chan int)
		_, name := bridge.Scatter(t.Context(), ex, in, bridge.Name("a{b"))
		_, size := bridge.Scatter(t.Context(), ex, in, bridge.MaxSize(0))
		_, bytes := bridge.Scatter(t.Context(), ex, in, bridge.MaxBytes(0))
		_, policy := bridge.Scatter(t.Context(), ex, in, bridge.Overflow("drop"))
		_, most := bridge.Scatter(t.Context(), ex, in, bridge.MaxBatch(0))
		_, linger := bridge.Scatter(t.Context(), ex, in, bridge.Linger(0))
		_, window := bridge.Scatter(t.Context(), ex, in, bridge.MaxInFlight(-1))
		_, codec := bridge.Scatter(t.Context(), ex, in, bridge.WithCodec(workers.Raw()))
		_, channel := bridge.Scatter(t.Context(), ex, make(chan chan int))
		_, open := executor.Open[int](t.Context(), ex, "nobody-made-it")
		_, queue := bridge.Gather[int](t.Context(), nil)
		_, function := executor.Map(t.Context(), workers.Func[int, int]{}, scatter(t, ex, []int{1}))
		for what, err := range map[string]error{
			"name": name, "size": size, "bytes": bytes, "policy": policy, "window": window, "batch": most, "linger": linger, "codec": codec, "channel": channel, "open": open,
			"queue": queue, "function": function, "delete": ex.Delete(t.Context(), "nobody-made-it"),
		} {
			if err == nil {
				t.Errorf("%s: not refused", what)
			}
		}
	})
}

func TestEmbeddedBrokerRefusesAFunctionThatIsNotRegistered(t *testing.T) {
	for name, opts := range map[string][]executor.Option{"one partition": nil, "three": {executor.Partitions(3)}} {
		t.Run(name, func(t *testing.T) {
			ex := must(executor.New(t.Context(), "", opts...))(t)
			defer func() {
				if err := ex.Close(); err != nil {
					t.Error(err)
				}
			}()
			sum := workers.Define2("sum", func(_ context.Context, x, y int) (int, error) { return x + y, nil })
			var queues []*executor.Queue[int]
			for _, name := range []string{"first", "second", "third"} { // one of them is in another partition
				queues = append(queues, scatter(t, ex, []int{1}, bridge.Name(name), bridge.Seal()))
			}
			queues = append(queues, scatter(t, ex, []int{1}))
			refused := map[string]error{}
			for _, q := range queues {
				_, refused["map over "+q.Name()] = executor.Map(t.Context(), inc, q)
				_, refused["map2 over "+q.Name()] = executor.Map2(t.Context(), sum, q, q)
			}
			_, refused["submit"] = executor.Submit(t.Context(), ex, inc, 1)
			_, refused["slice"] = executor.MapSlice(t.Context(), ex, inc, []int{1, 2})
			for what, err := range refused {
				if !errors.Is(err, executor.ErrFunctionNotRegistered) || !strings.Contains(err.Error(), "Register") {
					t.Errorf("%s: %v", what, err)
				}
			}
			register(t, ex, inc)
			want(t, values(t, stage(t, inc, queues[0])), 2)
			if v := must(must(executor.Submit(t.Context(), ex, inc, 1))(t).Result(t.Context()))(t); v != 2 {
				t.Errorf("submitted: %d", v)
			}
		})
	}
}

func TestTheKindsOfFailures(t *testing.T) {
	boom := workers.Define("boom", func(ctx context.Context, x int) (int, error) {
		switch x {
		case 1:
			panic("boom")
		case 2:
			<-ctx.Done()
			return 0, ctx.Err()
		case 3:
			return 0, errors.New("sorry")
		}
		return x, nil
	})
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := stage(t, boom, scatter(t, ex, upTo(5)), executor.Timeout(20*time.Millisecond), executor.Retries(1))
		codes := []string{"", "panic", "timeout", "error", ""}
		i := 0
		for v, err := range bridge.All(t.Context(), q) {
			var failed *executor.ItemError
			code := ""
			if errors.As(err, &failed) {
				code = failed.Code
			}
			if code != codes[i] || code == "" && v != i || failed != nil && failed.Attempts != 2 {
				t.Errorf("item %d: %v, %v", i, v, err)
			}
			if errors.Is(err, context.DeadlineExceeded) != (code == "timeout") || (code == "panic") != (failed != nil && failed.Stack != "") {
				t.Errorf("item %d: %+v", i, failed)
			}
			i++
		}
	}, boom)
}
