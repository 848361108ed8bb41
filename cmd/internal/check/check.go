// Package check tests workers that other programs are: whether they keep the rules of docs/protocol.md while one is killed, while
// the memory is full, and with entries that have a history.
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
	patience = 60 * time.Second // for all its results,
	starting = 20 * time.Second // for a worker to offer the function,
	ending   = 15 * time.Second // and to end after SIGTERM
)

// A Checker runs the checks. The function has to give the same output for the same input, and no error.
type Checker struct {
	Executor *executor.Executor
	Name     string // of the function
	Fails    string // of a function that fails for each item; "" if there is none
	Worker   string // command line of a worker, which sh runs; "" if workers run already
	URL      string // of the namespace, which a worker finds in DQBRIDGE_REDIS
	Memory   bool   // the memory of the server may be filled: no one else uses it

	client   *broker.Client
	running  *process // the worker of most checks; nil: workers run already
	function executor.FunctionInfo
	wanted   [][]byte // the outputs of the inputs
}

// A Verdict is the outcome of one check.
type Verdict struct {
	Name    string
	Skipped string // why it was not made; "" if it was
	Err     error  // why the worker has failed it
}

// errSkipped wraps why a check is not made.
type errSkipped struct{ why string }

func (e errSkipped) Error() string { return e.why }

// Run makes the checks one after the other, and reports each when it is done. It returns how many have failed. An error says why the
// checks could not be made.
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
	c.running.end() // those of the next checks are the only ones
	failed += c.verdict(ctx, "drain: a worker that gets SIGTERM gives back what it has, and ends", c.drain, report)
	failed += c.verdict(ctx, "kill: what a killed worker had is run by others", c.kill, report)
	return failed, context.Cause(ctx)
}

// begin waits for a worker, which it starts if it can.
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

// await waits until the function is there.
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

// input is the i-th input, encoded.
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

// inputs are n of them. All are different up to the number of wanted outputs.
func (c *Checker) inputs(n int) []codec.Item {
	items := make([]codec.Item, n)
	for i := range items {
		items[i], _ = c.input(i % differing) // begin has checked that there are some
	}
	return items
}

// differing is how many different inputs there are.
const differing = 100 // an int8 can be any of them

// fresh is a name for a queue of a check.
func fresh() string { return "check-" + strings.ToLower(rand.Text()[:12]) }
