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

// order records the output of each input, and then compares the outputs of many more.
func (c *Checker) order(ctx context.Context) error {
	f, err := c.flow(ctx, c.Name, c.inputs(distinctInputs))
	if err != nil {
		return err
	}
	for r := range f.results {
		if r.Err != nil {
			return fmt.Errorf("result %d of the function that should not fail: %w", r.Offset(), r.Err)
		}
		c.expected = append(c.expected, r.Value)
	}
	if len(c.expected) != distinctInputs {
		return fmt.Errorf("%d results of %d inputs", len(c.expected), distinctInputs)
	}
	if err := c.compareAll(ctx, 20*distinctInputs); err != nil {
		c.expected = nil // skips the checks that would fail for the same reason
		return err
	}
	return nil
}

// compareAll sends n inputs and compares the results.
func (c *Checker) compareAll(ctx context.Context, n int) error {
	f, err := c.flow(ctx, c.Name, c.inputs(n))
	if err == nil {
		err = c.compare(f, 0, n)
	}
	if err == nil {
		err = f.end()
	}
	return err
}

// requireOutputs returns errSkipped if order has not recorded the outputs.
func (c *Checker) requireOutputs() error {
	if len(c.expected) < distinctInputs {
		return errSkipped{"the first check has failed"}
	}
	return nil
}

func (c *Checker) batches(ctx context.Context) error { return c.runPlanted(ctx, 0, nil) }

func (c *Checker) split(ctx context.Context) error {
	return c.runPlanted(ctx, broker.Suspicious, func(part *broker.Client, out string) error {
		sizes, err := part.Sizes(ctx, out)
		if err != nil {
			return err
		}
		for _, n := range sizes {
			if n != 1 {
				return fmt.Errorf("an entry of the results has %d items, so that they ran together", n)
			}
		}
		return nil
	})
}

// runPlanted runs one entry of many items, with a number of crashes. inspect may read the queue of
// results before the gather begins.
func (c *Checker) runPlanted(ctx context.Context, crashes int, inspect func(part *broker.Client, out string) error) error {
	if err := c.requireOutputs(); err != nil {
		return err
	}
	f, err := c.plant(ctx, c.inputs(distinctInputs), crashes)
	defer f.drop(ctx)
	if err != nil {
		return err
	}
	if inspect != nil {
		part, err := c.awaitItems(ctx, f.out.Name(), distinctInputs)
		if err == nil {
			err = inspect(part, f.out.Name())
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

// awaitItems waits until a number of items were added to a queue.
func (c *Checker) awaitItems(ctx context.Context, queue string, items int64) (*broker.Client, error) {
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
		return fmt.Errorf("the code of the failure is %q, not %q", failed.Code, batch.CodeCrashed)
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

// maxCrashes is the number of worker deaths after which an item becomes a dead letter.
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

// memory stops the worker, fills a queue, sets the memory bound of the server to one byte, and lets
// the worker continue.
func (c *Checker) memory(ctx context.Context) (err error) {
	if !c.Memory || c.running == nil {
		return errSkipped{"it needs a server without other users and a worker that it can stop: --full-memory and --worker COMMAND"}
	}
	if err := c.requireOutputs(); err != nil {
		return err
	}
	old, err := c.client.MemoryBound(ctx)
	if err != nil {
		return errSkipped{"the server does not show its maxmemory: " + err.Error()}
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
			err = errors.Join(err, fmt.Errorf("the server still has maxmemory 1; set it to %s and maxmemory-policy to %s: %w", old.Most, old.Policy, failed))
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

// startPair starts a flow with two workers. The first one has processed 10 items when the second
// one starts.
func (c *Checker) startPair(ctx context.Context, n int) (f flow, first, second *process, err error) {
	if c.Worker == "" {
		return f, nil, nil, errSkipped{"it needs a worker that it can stop: --worker COMMAND"}
	}
	if err = c.requireOutputs(); err != nil {
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
	f, first, second, err := c.startPair(ctx, n)
	defer func() { first.kill(); second.end() }()
	if err != nil {
		return err
	}
	drained := make(chan error, 1)
	go func() { drained <- first.terminate(stopTimeout) }()
	if err := errors.Join(c.compare(f, 10, n-10), <-drained); err != nil {
		return err
	}
	infos, err := c.Executor.Workers(ctx)
	if err != nil {
		return err
	}
	for _, w := range infos {
		if w.PID == first.cmd.Process.Pid {
			return fmt.Errorf("it has ended and is still registered as %s: call leave.lua before the end", w.ID)
		}
	}
	return f.end()
}

func (c *Checker) kill(ctx context.Context) error {
	const n = 50 * distinctInputs
	f, first, second, err := c.startPair(ctx, n)
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
