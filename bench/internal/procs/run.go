package procs

import (
	"context"
	"errors"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
	"github.com/dqbridge/dqbridge/bench/internal/role"
)

// A Plan describes the deployment of a pipeline.
type Plan struct {
	Job
	Workers int           // processes
	Backlog bool          // the producer ends before the first worker starts
	Idle    time.Duration // how long to measure all processes idle before the first item
}

// An Outcome is the result of a plan.
type Outcome struct {
	Seconds  float64 // until the last result; with a backlog, from the end of the producer
	Producer role.Report
	Worker   role.Report // sum of all workers; the peak is that of the largest
	Consumer role.Report
	Redis    redisd.Usage
	Peak     float64      // peak memory of the redis-server, in bytes
	Idle     redisd.Usage // per second and process
}

// PerSecond returns the rate.
func (o Outcome) PerSecond() float64 { return float64(o.Consumer.Items) / o.Seconds }

// Largest returns the peak of the largest process, without Redis.
func (o Outcome) Largest() float64 { return max(o.Producer.Peak, o.Worker.Peak, o.Consumer.Peak) }

// A cast is the processes of a run.
type cast struct {
	plan               Plan
	server             *redisd.Server
	workers            []*role.Process
	producer, consumer *role.Process
	alone              float64 // processor time in seconds that Redis used without clients
}

// stuck is the time limit of a run.
const stuck = 5 * time.Minute

// Run runs a plan on a new server, so that its memory can be measured.
func Run(ctx context.Context, p Plan) (o Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, stuck) // it also kills the processes that are left
	defer cancel()
	s, err := redisd.Start(ctx)
	if err != nil {
		return o, err
	}
	defer s.Stop()
	p.URL, p.Queue = s.URL(), "bench"
	alone, err := used(ctx, s, p.Idle)
	if err != nil {
		return o, err
	}
	c := &cast{plan: p, server: s, alone: alone.CPU}
	if c.producer, err = role.Start(ctx, producer, p.Job); err != nil {
		return o, err
	}
	if p.Backlog {
		if o.Producer, err = c.stored(); err != nil {
			return o, err
		}
	}
	if err := c.enter(ctx); err != nil {
		return o, err
	}
	if o.Idle, err = c.idle(ctx); err != nil {
		return o, err
	}
	return o, c.perform(ctx, &o)
}

func (c *cast) stored() (role.Report, error) {
	if err := c.producer.Go(); err != nil {
		return role.Report{}, err
	}
	return c.producer.Wait()
}

// enter starts the workers and the consumer.
func (c *cast) enter(ctx context.Context) (err error) {
	if c.workers, err = start(ctx, c.plan.Job, c.plan.Workers); err != nil {
		return err
	}
	c.consumer, err = role.Start(ctx, consumer, c.plan.Job)
	return err
}

// start starts only the workers.
func start(ctx context.Context, j Job, n int) (list []*role.Process, err error) {
	for range n {
		w, err := role.Start(ctx, worker, j)
		if err != nil {
			return list, err
		}
		list = append(list, w)
		if err := w.Go(); err != nil {
			return list, err
		}
	}
	return list, nil
}

// stop ends workers and returns the sum of their reports.
func stop(list []*role.Process) (all role.Report, err error) {
	for _, w := range list {
		r, stopped := w.Stop()
		err = errors.Join(err, stopped)
		all.CPU += r.CPU
		all.Peak = max(all.Peak, r.Peak)
	}
	return all, err
}

// With runs f while a fleet of n workers is running.
func With(ctx context.Context, j Job, n int, f func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	list, err := start(ctx, j, n)
	if err != nil {
		return err
	}
	err = f()
	_, stopped := stop(list)
	return errors.Join(err, stopped)
}

// settled is how long after their start all processes have finished their setup.
const settled = 6 * time.Second

// idle measures the idle processes twice: the resources of Redis beyond those without clients, and
// the commands sent. The second one uses MONITOR, which costs more than these commands.
func (c *cast) idle(ctx context.Context) (u redisd.Usage, err error) {
	if c.plan.Idle == 0 {
		return u, nil
	}
	if err := pass(ctx, settled); err != nil {
		return u, err
	}
	if u, err = used(ctx, c.server, c.plan.Idle); err != nil {
		return u, err
	}
	u.CPU -= c.alone
	u.Commands, err = c.server.Sent(ctx, c.plan.Idle)
	return u.Over(c.plan.Idle.Seconds() * float64(len(c.workers)+2)), err
}

// used returns the work of a server during d.
func used(ctx context.Context, s *redisd.Server, d time.Duration) (u redisd.Usage, err error) {
	before, err := s.Usage(ctx)
	if err != nil || d == 0 {
		return u, err
	}
	if err := pass(ctx, d); err != nil {
		return u, err
	}
	after, err := s.Usage(ctx)
	return after.Sub(before), err
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// perform runs the items through the pipeline.
func (c *cast) perform(ctx context.Context, o *Outcome) (err error) {
	before, err := c.server.Usage(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := c.consumer.Go(); err != nil {
		return err
	}
	if !c.plan.Backlog {
		if o.Producer, err = c.stored(); err != nil {
			return err
		}
	}
	if o.Consumer, err = c.consumer.Wait(); err != nil {
		return err
	}
	o.Seconds = time.Since(begin).Seconds()
	after, err := c.server.Usage(ctx)
	if err != nil {
		return err
	}
	o.Redis = after.Sub(before)
	if o.Worker, err = stop(c.workers); err != nil {
		return err
	}
	o.Peak, err = c.server.Peak()
	return err
}
