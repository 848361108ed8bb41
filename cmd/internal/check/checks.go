package check

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// order records the outputs of the first run and compares those of the second run.
func (c *Checker) order(ctx context.Context) error {
	f, err := c.flow(ctx, c.Name, c.inputs(distinctInputs))
	if err != nil {
		return err
	}
	for r := range f.results {
		if r.Err != nil {
			return fmt.Errorf("result %d of the function that should not fail: %w", r.Offset(), r.Err)
		}
		c.wanted = append(c.wanted, r.Value)
	}
	if len(c.wanted) != distinctInputs {
		return fmt.Errorf("%d results of %d inputs", len(c.wanted), distinctInputs)
	}
	if err := c.same(ctx, 20*distinctInputs); err != nil {
		c.wanted = nil // the others would say the same
		return err
	}
	return nil
}

// same sends n inputs and compares the results.
func (c *Checker) same(ctx context.Context, n int) error {
	f, err := c.flow(ctx, c.Name, c.inputs(n))
	if err == nil {
		err = c.compare(f, 0, n)
	}
	if err == nil {
		err = f.end()
	}
	return err
}

// known returns an error if the expected outputs are not known.
func (c *Checker) known() error {
	if len(c.wanted) < distinctInputs {
		return errSkipped{"the first check has failed"}
	}
	return nil
}

func (c *Checker) batches(ctx context.Context) error { return c.planted(ctx, 0, nil) }

func (c *Checker) split(ctx context.Context) error {
	return c.planted(ctx, broker.Suspicious, func(part *broker.Client, out string) error {
		sizes, err := part.Sizes(ctx, out)
		if err != nil {
			return err
		}
		for _, n := range sizes {
			if n != 1 {
				return fmt.Errorf("an entry of the results has %d items: they were run together", n)
			}
		}
		return nil
	})
}

// planted sends one entry with many items that workers have died with. look sees the queue of the
// results before one is taken.
func (c *Checker) planted(ctx context.Context, crashes int, look func(part *broker.Client, out string) error) error {
	if err := c.known(); err != nil {
		return err
	}
	f, err := c.plant(ctx, c.inputs(distinctInputs), crashes)
	defer f.drop(ctx)
	if err != nil {
		return err
	}
	if look != nil {
		part, err := c.filled(ctx, f.out.Name(), distinctInputs)
		if err == nil {
			err = look(part, f.out.Name())
		}
		if err != nil {
			return err
		}
	}
	if f.results, err = bridge.Gather(ctx, f.out); err != nil {
		return err
	}
	if err := c.compare(f, 0, distinctInputs); err != nil {
		return err
	}
	return f.end()
}

// filled waits until that many items were added to a queue.
func (c *Checker) filled(ctx context.Context, queue string, items int64) (*broker.Client, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		part, q, err := c.client.Find(ctx, queue)
		if err != nil || q.Items >= items {
			return part, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d items have results: %w", q.Items, items, context.Cause(ctx))
		}
	}
}

func (c *Checker) poison(ctx context.Context) error {
	f, err := c.plant(ctx, c.inputs(1), maxCrashes)
	defer f.drop(ctx)
	if err != nil {
		return err
	}
	if f.results, err = bridge.Gather(ctx, f.out); err != nil {
		return err
	}
	failed, err := asItem((<-f.results).Err)
	if err != nil {
		return err
	}
	if failed.Code != batch.CodeCrashed {
		return fmt.Errorf("the code of its failure is %q, not %q", failed.Code, batch.CodeCrashed)
	}
	for letter, err := range c.Executor.DeadLetters(ctx) {
		if err != nil {
			return err
		}
		if letter.Queue == f.in.Name() {
			return c.Executor.DeleteDeadLetter(ctx, letter.ID)
		}
	}
	return errors.New("the item has no dead letter")
}

// maxCrashes is the number of workers that die with an item before it becomes a dead letter.
const maxCrashes = 5

func (c *Checker) retry(ctx context.Context) error {
	if c.Fails == "" {
		return errSkipped{"it needs a function that fails: --fails NAME"}
	}
	const retries = 2
	f, err := c.flow(ctx, c.Fails, c.inputs(3), executor.Retries(retries), executor.Backoff(time.Millisecond, time.Millisecond))
	if err != nil {
		return err
	}
	n := 0
	for r := range f.results {
		failed, err := asItem(r.Err)
		if err != nil {
			return err
		}
		if n++; failed.Attempts != retries+1 {
			return fmt.Errorf("with %d retries, the failure counts %d attempts: %w", retries, failed.Attempts, failed)
		}
	}
	if n != 3 {
		return fmt.Errorf("%d results of 3 inputs", n)
	}
	return nil
}

// memory stops the worker, fills a queue and then the memory, and continues the worker.
func (c *Checker) memory(ctx context.Context) (err error) {
	if !c.Memory || c.running == nil {
		return errSkipped{"it fills the memory of the server and needs a worker that it can stop: --full-memory, for a server without other users, and --worker COMMAND"}
	}
	if err := c.known(); err != nil {
		return err
	}
	old, err := c.client.MemoryBound(ctx)
	if err != nil {
		return errSkipped{"the server does not tell its maxmemory: " + err.Error()}
	}
	c.running.signal(syscall.SIGSTOP)
	defer c.running.signal(syscall.SIGCONT)
	const n = 2 * distinctInputs
	f, err := c.flow(ctx, c.Name, c.inputs(n))
	if err != nil {
		return err
	}
	select {
	case <-f.in.Done():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() {
		if failed := c.client.SetMemoryBound(context.WithoutCancel(ctx), old); failed != nil {
			err = errors.Join(err, fmt.Errorf("the server keeps maxmemory 1, set it to %s and maxmemory-policy to %s: %w", old.Most, old.Policy, failed))
		}
	}()
	if err := c.client.SetMemoryBound(ctx, broker.MemoryBound{Most: "1", Policy: "noeviction"}); err != nil {
		return errSkipped{"the server refuses another maxmemory: " + err.Error()}
	}
	c.running.signal(syscall.SIGCONT)
	if err := c.compare(f, 0, n); err != nil {
		return fmt.Errorf("while the memory is full: %w", err)
	}
	return f.end()
}

// pair starts a flow with one worker, waits for some results, and starts a successor.
func (c *Checker) pair(ctx context.Context, n int) (f flow, first, second *process, err error) {
	if c.Worker == "" {
		return f, nil, nil, errSkipped{"it needs a worker that it can end: --worker COMMAND"}
	}
	if err = c.known(); err != nil {
		return f, nil, nil, err
	}
	if first, err = c.start(); err != nil {
		return f, nil, nil, err
	}
	if f, err = c.flow(ctx, c.Name, c.inputs(n)); err == nil {
		err = c.compare(f, 0, 10)
	}
	if err == nil {
		second, err = c.start()
	}
	return f, first, second, err
}

func (c *Checker) drain(ctx context.Context) error {
	const n = 50 * distinctInputs
	f, first, second, err := c.pair(ctx, n)
	defer func() { first.kill(); second.end() }()
	if err != nil {
		return err
	}
	drained := make(chan error, 1)
	go func() { drained <- first.term(ending) }()
	if err := errors.Join(c.compare(f, 10, n-10), <-drained); err != nil {
		return err
	}
	infos, err := c.Executor.Workers(ctx)
	if err != nil {
		return err
	}
	for _, w := range infos {
		if w.PID == first.cmd.Process.Pid {
			return fmt.Errorf("it has ended and is still registered as %s: call leave.lua", w.ID)
		}
	}
	return f.end()
}

func (c *Checker) kill(ctx context.Context) error {
	const n = 50 * distinctInputs
	f, first, second, err := c.pair(ctx, n)
	defer func() { first.kill(); second.end() }()
	if err != nil {
		return err
	}
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		first.kill()
	}()
	err = c.compare(f, 10, n-10)
	<-killed
	if err != nil {
		return err
	}
	return f.end()
}
