package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

const (
	producer = "producer"
	worker   = "worker"
	consumer = "consumer"
)

// Roles are those of a pipeline of dqbridge.
func Roles() map[string]Role {
	return map[string]Role{producer: produce, worker: serveWorker, consumer: consume}
}

// A Job is the argument of all three roles.
type Job struct {
	URL         string `json:"url"`
	Queue       string `json:"queue"`
	N           int    `json:"n"`
	Size        int    `json:"size"`        // bytes of an item; 0: ints
	Concurrency int    `json:"concurrency"` // of each worker
	Bytes       int64  `json:"bytes"`       // bound of the queue; 0: the default
	Apart       bool   `json:"apart"`       // a queue between the stages
	Batch       int    `json:"batch"`       // bound of the items of a batch; 0: the default
}

// SlowFor is the time of a call of Slow.
const SlowFor = 10 * time.Millisecond

var (
	// Slow is a function of all workers of this package.
	Slow = flow.Waiting("slow", func(int) time.Duration { return SlowFor })
	// same is the stage of items that are bytes.
	same = flow.Same[[]byte]("same")
)

func serveWorker(ctx context.Context, args json.RawMessage, ready func(string)) (int, error) {
	var j Job
	if err := json.Unmarshal(args, &j); err != nil {
		return 0, err
	}
	w, err := workers.New(j.URL, workers.Functions(rows.Inc, rows.Double, same, Slow), workers.Concurrency(j.Concurrency))
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case <-w.Ready():
		ready("")
		return 0, <-ended
	case err := <-ended:
		return 0, err
	}
}

// connected calls f with an Executor and the job.
func connected(ctx context.Context, args json.RawMessage, f func(*executor.Executor, Job) (int, error)) (n int, err error) {
	var j Job
	if err := json.Unmarshal(args, &j); err != nil {
		return 0, err
	}
	ex, err := executor.New(ctx, j.URL)
	if err != nil {
		return 0, err
	}
	n, err = f(ex, j)
	return n, errors.Join(err, ex.Close())
}

func produce(ctx context.Context, args json.RawMessage, ready func(string)) (int, error) {
	return connected(ctx, args, func(ex *executor.Executor, j Job) (int, error) {
		if j.Size == 0 {
			return scatter(ctx, ex, j, ready, flow.Number)
		}
		return scatter(ctx, ex, j, ready, func(i int) []byte { return work.Bytes(i, j.Size) })
	})
}

func scatter[T any](ctx context.Context, ex *executor.Executor, j Job, ready func(string), item func(int) T) (int, error) {
	in := make(chan T, min(work.Capacity, 1+(16<<20)/max(j.Size, 1)))
	opts := []bridge.ScatterOption{bridge.Name(j.Queue), bridge.Seal()}
	if j.Bytes > 0 {
		opts = append(opts, bridge.MaxBytes(j.Bytes))
	}
	if j.Batch > 0 {
		opts = append(opts, bridge.MaxBatch(j.Batch))
	}
	if _, err := bridge.Scatter(ctx, ex, in, opts...); err != nil {
		return 0, err
	}
	ready("")
	flow.Feed(ctx, in, j.N, item)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return j.N, ex.Flush(ctx)
}

func consume(ctx context.Context, args json.RawMessage, ready func(string)) (int, error) {
	return connected(ctx, args, func(ex *executor.Executor, j Job) (int, error) {
		if j.Size == 0 {
			t := work.NewTally(j.N)
			n, err := gather(ctx, ex, j, ready, func(x int) error {
				t.Add(x)
				return nil
			}, rows.Inc, rows.Double)
			return n, errors.Join(err, t.Err())
		}
		i := 0
		n, err := gather(ctx, ex, j, ready, func(b []byte) error {
			i++
			return work.CheckBytes(b, i-1, j.Size)
		}, same)
		if err == nil && n != j.N {
			err = fmt.Errorf("%d results for %d items", n, j.N)
		}
		return n, err
	})
}

func gather[T any](
	ctx context.Context, ex *executor.Executor, j Job, ready func(string), take func(T) error, stages ...workers.Func[T, T],
) (n int, err error) {
	q, err := executor.Open[T](ctx, ex, j.Queue)
	if err != nil {
		return 0, err
	}
	var opts []executor.MapOption
	if j.Apart {
		opts = append(opts, executor.NoFuse())
	}
	out, err := flow.Through(ctx, q, stages, opts...)
	if err != nil {
		return 0, err
	}
	ready("")
	for r := range out {
		if r.Err != nil {
			return n, r.Err
		}
		if err := take(r.Value); err != nil {
			return n, err
		}
		n++
	}
	return n, ctx.Err()
}
