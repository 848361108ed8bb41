// Package check tests workers written in other languages: whether they keep the rules of
// docs/protocol.md while a worker is killed, while the memory is full, and for entries that workers
// have died with.
package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// Limits of one check.
const (
	patience = 60 * time.Second // for all results of a check
	starting = 20 * time.Second // for a worker to register the function
	ending   = 15 * time.Second // for a worker to exit after SIGTERM
)

// A Checker runs the checks. The function must return the same output for the same input, and no
// error.
type Checker struct {
	Executor *executor.Executor
	Name     string // of the function
	Fails    string // a function that fails for each item; "": there is none
	Worker   string // command line of a worker, run by sh; "": workers are already running
	URL      string // of the namespace; workers get it as DQBRIDGE_REDIS
	Memory   bool   // the checks may fill the memory of the server: it has no other users

	client   *broker.Client
	running  *process // the worker of most checks; nil: workers are already running
	function executor.FunctionInfo
	wanted   [][]byte // the expected outputs of the inputs
}

// A Verdict is the result of one check.
type Verdict struct {
	Name    string
	Skipped string // why the check did not run; "": it ran
	Err     error  // why the check failed; nil: it passed
}

// errSkipped is the error of a check that cannot run.
type errSkipped struct{ why string }

func (e errSkipped) Error() string { return e.why }

// Run runs the checks one after the other and calls report after each. It returns the number of
// failed checks. The error is the reason why the checks could not run at all.
func (c *Checker) Run(ctx context.Context, report func(Verdict)) (failed int, err error) {
	if c.client, err = broker.Open(c.URL, broker.Options{}); err != nil {
		return 0, err
	}
	defer c.client.Close()
	err = c.begin(ctx)
	defer func() { c.running.end() }()
	if err != nil {
		return 0, err
	}
	for _, check := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"order: each input has one result, in its place", c.order},
		{"batches: an entry of many items", c.batches},
		{"split: the items of an entry with which two workers have died are run one by one", c.split},
		{"poison: an item with which five workers have died is a dead letter and a failure", c.poison},
		{"retry: an item that fails is tried again as often as the stage says", c.retry},
		{"memory: results are written while Redis takes nothing new", c.memory},
	} {
		failed += c.verdict(ctx, check.name, check.run, report)
	}
	c.running.end() // the next checks start their own workers
	failed += c.verdict(ctx, "drain: a worker that gets SIGTERM gives back what it has, and ends", c.drain, report)
	failed += c.verdict(ctx, "kill: what a killed worker had is run by others", c.kill, report)
	return failed, context.Cause(ctx)
}

// begin starts a worker, if it has a command line, and waits for the function.
func (c *Checker) begin(ctx context.Context) (err error) {
	if c.Worker != "" {
		if c.running, err = c.start(); err != nil {
			return err
		}
	}
	if err := c.await(ctx); err != nil {
		return err
	}
	_, err = c.input(0)
	return err
}

// await waits until a worker has registered the function.
func (c *Checker) await(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; {
		found, err := c.Executor.Functions(ctx)
		if err != nil {
			return err
		}
		for _, f := range found {
			if f.Name == c.Name {
				c.function = f
				return nil
			}
		}
		if time.Since(begun) > starting {
			return fmt.Errorf("no live worker has function %q: its card in w:<id> has to name it, see docs/protocol.md", c.Name)
		}
		select {
		case <-tick.C:
		case <-c.running.ended():
			return fmt.Errorf("the worker has ended before it had function %q: %v", c.Name, c.running.cmd.ProcessState)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *Checker) verdict(ctx context.Context, name string, run func(context.Context) error, report func(Verdict)) (failed int) {
	if ctx.Err() != nil {
		return 0
	}
	limited, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not done after %v", patience))
	defer cancel()
	v := Verdict{Name: name}
	var skipped errSkipped
	switch err := run(limited); {
	case errors.As(err, &skipped):
		v.Skipped = skipped.why
	case err != nil && ctx.Err() != nil:
		return 0
	case err != nil:
		v.Err = err
		failed = 1
	}
	report(v)
	return failed
}

// input returns the i-th input, encoded.
func (c *Checker) input(i int) (codec.Item, error) {
	text := strconv.Itoa(i)
	switch {
	case c.function.In == "string" && c.function.InCodec == "raw", c.function.In == "bytes" && c.function.InCodec == "raw":
		return codec.Item("item " + text), nil
	case c.function.In == "string" && c.function.InCodec == "json":
		return codec.Item(strconv.Quote("item " + text)), nil
	case c.function.InCodec == "json" && number.MatchString(c.function.In):
		return codec.Item(text), nil
	}
	return nil, fmt.Errorf("function %q takes %s (%s), and the checks have strings (raw or json) and numbers (json): "+
		"let the worker have a function of these as well", c.Name, c.function.In, c.function.InCodec)
}

var number = regexp.MustCompile(`^(u?int(8|16|32|64)?|float(32|64)?)$`)

// inputs returns n inputs. The first 100 are different.
func (c *Checker) inputs(n int) []codec.Item {
	items := make([]codec.Item, n)
	for i := range items {
		items[i], _ = c.input(i % distinctInputs) // begin has checked that input works
	}
	return items
}

// distinctInputs is the number of different inputs.
const distinctInputs = 100 // fits the values of an int8

// newQueueName returns a new queue name for a check.
func newQueueName() string { return "check-" + strings.ToLower(rand.Text()[:12]) }
