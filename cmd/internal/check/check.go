// Package check tests workers of other programs against the rules of docs/protocol.md: with killed
// workers, with full memory, and with entries whose earlier workers have died.
package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// Time limits of a check.
const (
	checkTimeout = 60 * time.Second // all results
	startTimeout = 20 * time.Second // the registration of a started worker
	stopTimeout  = 15 * time.Second // the end of a worker after SIGTERM
)

// A Checker runs the checks. The function has to return the same output for the same input, and no
// error.
type Checker struct {
	Executor *executor.Executor
	Name     string // of the function
	Fails    string // name of a function that fails for each item; empty: none
	Worker   string // command line of a worker, for sh; empty: workers run already
	URL      string // of the namespace; a worker reads it from DQBRIDGE_REDIS
	Memory   bool   // run the check of full memory; no other program may use the server

	client   *broker.Client
	running  *process // the worker of most checks; nil: workers run already
	function inspect.Function
	expected [][]byte // the outputs of the inputs
}

// A Verdict is the outcome of one check.
type Verdict struct {
	Name    string
	Skipped string // why the check did not run; empty: it ran
	Err     error  // why the check has failed; nil: it has passed
}

// errSkipped is the error of a check that cannot run.
type errSkipped struct{ why string }

func (e errSkipped) Error() string { return e.why }

// Run runs the checks one after the other, and reports each one at its end. It returns the number
// of failed checks. The error is the reason that the checks could not run.
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
		{"order: each input has one result, in order", c.order},
		{"batches: an entry of many items", c.batches},
		{"split: after the death of two workers, the items of an entry run one by one", c.split},
		{"poison: after the death of five workers, an item is a dead letter and a failure", c.poison},
		{"retry: a failed item has the further attempts of its stage", c.retry},
		{"memory: results are written while Redis refuses new items", c.memory},
	} {
		failed += c.verdict(ctx, check.name, check.run, report)
	}
	c.running.end() // the next checks start their own workers
	failed += c.verdict(ctx, "drain: a worker that gets SIGTERM returns its entries and ends", c.drain, report)
	failed += c.verdict(ctx, "kill: another worker runs the items of a killed one", c.kill, report)
	return failed, context.Cause(ctx)
}

// begin starts a worker if there is a command for it, and waits until a worker has the function.
func (c *Checker) begin(ctx context.Context) (err error) {
	before := map[string]bool{} // ids of workers that are not the one that this call starts
	if c.Worker != "" {
		others, err := c.Executor.Workers(ctx)
		if err != nil {
			return err
		}
		for _, w := range others {
			before[w.ID] = true
		}
		if c.running, err = c.start(); err != nil {
			return err
		}
	}
	if err := c.await(ctx, before); err != nil {
		return err
	}
	_, err = c.input(0)
	return err
}

// await waits until a live worker has the function, other than those that were there before: one that
// was killed counts as live for up to a lease.
func (c *Checker) await(ctx context.Context, before map[string]bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for begun := time.Now(); ; {
		if found, err := c.find(ctx, before); found || err != nil {
			return err
		}
		if time.Since(begun) > startTimeout {
			return fmt.Errorf("no live worker has function %q: the card of the worker in w:<id> has to name it, see docs/protocol.md", c.Name)
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

// find looks for a worker with the function, other than those that were there before.
func (c *Checker) find(ctx context.Context, before map[string]bool) (found bool, err error) {
	workers, err := c.Executor.Workers(ctx)
	if err != nil || !slices.ContainsFunc(workers, func(w inspect.Worker) bool { return !before[w.ID] && slices.Contains(w.Functions, c.Name) }) {
		return false, err
	}
	functions, err := c.Executor.Functions(ctx)
	at := slices.IndexFunc(functions, func(f inspect.Function) bool { return f.Name == c.Name })
	if err != nil || at < 0 {
		return false, err
	}
	c.function = functions[at]
	return true, nil
}

// verdict runs and reports a check. It returns 1 if the check has failed, and otherwise 0.
func (c *Checker) verdict(ctx context.Context, name string, run func(context.Context) error, report func(Verdict)) (failed int) {
	if ctx.Err() != nil {
		return 0
	}
	limited, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("not done after %v", checkTimeout))
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

// input returns the encoded input i.
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
		"add such a function to the worker", c.Name, c.function.In, c.function.InCodec)
}

var number = regexp.MustCompile(`^(u?int(8|16|32|64)?|float(32|64)?)$`)

// inputs returns n inputs, of which distinctInputs are different.
func (c *Checker) inputs(n int) []codec.Item {
	items := make([]codec.Item, n)
	for i := range items {
		items[i], _ = c.input(i % distinctInputs) // begin has checked the type
	}
	return items
}

// distinctInputs is the number of different inputs. An int8 can have each of them.
const distinctInputs = 100

// newName returns a name for a queue of a check.
func newName() string { return "check-" + strings.ToLower(rand.Text()[:12]) }
