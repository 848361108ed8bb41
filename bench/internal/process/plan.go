package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A Plan is a pipeline as it is deployed: a producer, workers and a consumer, each a process.
type Plan struct {
	Job
	Workers int           // processes
	Backlog bool          // the producer ends before the workers start
	Idle    time.Duration // length of the measurement of all idle processes, before the first item
}

// An Outcome has the figures of a plan.
type Outcome struct {
	Seconds  float64 // until the last result; with Backlog, from the start of the consumer
	Producer Report
	Worker   Report // the sum of the workers; the peak of the largest one
	Consumer Report
	Redis    redisd.Usage
	Peak     float64      // memory of the redis-server, in bytes
	Idle     redisd.Usage // of one process in a second
}

// PerSecond is the rate.
func (o Outcome) PerSecond() float64 { return float64(o.Consumer.Items) / o.Seconds }

// Largest is the peak of the largest process except Redis.
func (o Outcome) Largest() float64 { return max(o.Producer.Peak, o.Worker.Peak, o.Consumer.Peak) }

const (
	// stuck is the limit of a run. At its end all processes are killed.
	stuck = 5 * time.Minute
	// settled is the time after the start until the set-up of all processes is done.
	settled = 6 * time.Second
)

// Run runs a plan on a redis-server of its own.
func Run(ctx context.Context, p Plan) (o Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, stuck)
	defer cancel()
	s, err := redisd.Start(ctx)
	if err != nil {
		return o, err
	}
	defer s.Stop()
	p.URL, p.Queue = s.URL(), "bench"
	pause := func() error { return work.Pause(ctx, p.Idle) }
	alone, err := s.Used(ctx, pause)
	if err != nil {
		return o, err
	}
	from, err := Start(ctx, producer, p.Job)
	if err != nil {
		return o, err
	}
	send := func() error {
		err := from.Go()
		if err == nil {
			o.Producer, err = from.Wait()
		}
		return err
	}
	if p.Backlog {
		if err := send(); err != nil {
			return o, err
		}
		send = func() error { return nil }
	}
	fleet, err := start(ctx, p.Job, p.Workers)
	if err != nil {
		return o, err
	}
	to, err := Start(ctx, consumer, p.Job)
	if err != nil {
		return o, err
	}
	if p.Idle > 0 {
		if o.Idle, err = idle(ctx, s, p, alone); err != nil {
			return o, err
		}
	}
	if o.Redis, err = s.Used(ctx, func() error { return o.receive(to, send) }); err != nil {
		return o, err
	}
	if o.Worker, err = stop(fleet); err != nil {
		return o, err
	}
	o.Peak, err = s.Peak()
	return o, err
}

// receive runs the consumer to its end, with the producer beside it.
func (o *Outcome) receive(consumer *Process, send func() error) (err error) {
	begin := time.Now()
	if err := consumer.Go(); err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	o.Consumer, err = consumer.Wait()
	o.Seconds = time.Since(begin).Seconds()
	return err
}

// idle measures the cost of idle processes above that of Redis alone. The commands are counted
// afterwards, because MONITOR, which counts them, costs more than they do.
func idle(ctx context.Context, s *redisd.Server, p Plan, alone redisd.Usage) (u redisd.Usage, err error) {
	if err := work.Pause(ctx, settled); err != nil {
		return u, err
	}
	if u, err = s.Used(ctx, func() error { return work.Pause(ctx, p.Idle) }); err != nil {
		return u, err
	}
	u.CPU -= alone.CPU
	u.Commands, err = s.Sent(ctx, p.Idle)
	return u.Over(p.Idle.Seconds() * float64(p.Workers+2)), err
}

// start starts workers.
func start(ctx context.Context, j Job, n int) (fleet []*Process, err error) {
	for range n {
		w, err := Start(ctx, worker, j)
		if err != nil {
			return fleet, err
		}
		fleet = append(fleet, w)
		if err := w.Go(); err != nil {
			return fleet, err
		}
	}
	return fleet, nil
}

// stop stops workers and adds up their reports.
func stop(fleet []*Process) (all Report, err error) {
	for _, w := range fleet {
		r, failed := w.Stop()
		err = errors.Join(err, failed)
		all.CPU += r.CPU
		all.Peak = max(all.Peak, r.Peak)
	}
	return all, err
}

// With runs f beside n workers.
func With(ctx context.Context, j Job, n int, f func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fleet, err := start(ctx, j, n)
	if err != nil {
		return err
	}
	err = f()
	_, failed := stop(fleet)
	return errors.Join(err, failed)
}

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
