package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
)

func queuesVerb() *urfave.Command {
	type column = cli.Column[inspect.Queue]
	return lister("queues", "list the queues, and their items by the place where they are", func(s inspect.Snapshot) []inspect.Queue { return s.Queues },
		func(at *time.Time) []column {
			return []column{
				{Head: "QUEUE", Cell: func(q inspect.Queue) any { return q.Name }},
				{Head: "TYPE", Cell: func(q inspect.Queue) any { return q.Type }},
				{Head: "STATE", Cell: func(q inspect.Queue) any { return queueState(q) }},
				{Head: "WAITING", Cell: func(q inspect.Queue) any { return q.Waiting }},
				{Head: "REQUEUED", Cell: func(q inspect.Queue) any { return atLeast(q, q.Requeued) }},
				{Head: "DELAYED", Cell: func(q inspect.Queue) any { return atLeast(q, q.Delayed) }},
				{Head: "SUSPECT", Cell: func(q inspect.Queue) any { return atLeast(q, q.Suspects) }},
				{Head: "RUNNING", Cell: func(q inspect.Queue) any { return atLeast(q, q.Running) }},
				{Head: "OLDEST", Cell: func(q inspect.Queue) any { return cli.Since(*at, q.Oldest) }},
				{Head: "CONSUMER", Cell: func(q inspect.Queue) any { return consumer(q, *at) }},
				{Head: "AGE", Wide: true, Cell: func(q inspect.Queue) any { return cli.Since(*at, q.OldestScattered) }},
				{Head: "ADDED", Wide: true, Cell: func(q inspect.Queue) any { return q.Added }},
				{Head: "FUSED", Wide: true, Cell: func(q inspect.Queue) any { return q.Fused }},
				{Head: "MAX", Wide: true, Cell: func(q inspect.Queue) any { return q.Max }},
				{Head: "DROPPED", Wide: true, Cell: func(q inspect.Queue) any { return q.Dropped }},
				{Head: "BYTES", Wide: true, Cell: func(q inspect.Queue) any { return q.Bytes }},
				{Head: "SOURCES", Wide: true, Cell: func(q inspect.Queue) any { return q.Sources }},
				{Head: "FLOW", Wide: true, Cell: func(q inspect.Queue) any { return q.Flow }},
				{Head: "PARTITION", Wide: true, Cell: func(q inspect.Queue) any { return q.Partition }},
			}
		})
}

// queueState returns the state of a queue, and that it is full.
func queueState(q inspect.Queue) string {
	if q.Full {
		return q.State + ", full"
	}
	return q.State
}

// atLeast returns a number of items of a queue. Its text says if there may be more.
func atLeast(q inspect.Queue, n int64) cli.Number {
	if q.AtLeast && n > 0 {
		return cli.Number{Value: n, Text: fmt.Sprint(">=", n)}
	}
	return cli.Number{Value: n, Text: fmt.Sprint(n)}
}

// consumer returns the consumer of a queue, with the process of a gather.
func consumer(q inspect.Queue, at time.Time) string {
	if q.Gather == nil {
		return q.Consumer
	}
	return "gather " + process(q.Gather, at)
}

// process returns host and process id of a process, and since when it is not live.
func process(p *inspect.Process, at time.Time) string {
	switch name := fmt.Sprintf("%s:%d", p.Host, p.PID); p.State {
	case inspect.Live:
		return name
	case inspect.Dead:
		if p.Host == "" { // it is cleaned up
			return "dead " + p.ID
		}
		return name + " dead"
	default:
		return fmt.Sprintf("%s %s %v", name, p.State, cli.Since(at, p.Seen))
	}
}

func workersVerb() *urfave.Command {
	type column = cli.Column[inspect.Worker]
	return lister("workers", "list the workers", func(s inspect.Snapshot) []inspect.Worker { return s.Workers },
		func(at *time.Time) []column {
			return []column{
				{Head: "WORKER", Cell: func(w inspect.Worker) any { return w.ID }},
				{Head: "HOST", Cell: func(w inspect.Worker) any { return w.Host }},
				{Head: "PID", Cell: func(w inspect.Worker) any { return w.PID }},
				{Head: "STATE", Cell: func(w inspect.Worker) any { return workerState(w, *at) }},
				{Head: "CONCURRENCY", Cell: func(w inspect.Worker) any { return slots(w) }},
				{Head: "DONE", Cell: func(w inspect.Worker) any { return w.Done }},
				{Head: "FAILED", Cell: func(w inspect.Worker) any { return w.Failed }},
				{Head: "LONGEST", Cell: func(w inspect.Worker) any { return longest(w, *at) }},
				{Head: "FUNCTIONS", Cell: func(w inspect.Worker) any { return w.Functions }},
			}
		})
}

func workerState(w inspect.Worker, at time.Time) string {
	if w.State == inspect.Live {
		return w.State
	}
	return fmt.Sprintf("%s %v", w.State, cli.Since(at, w.Seen))
}

// longest returns the call that a worker has run for the longest time.
func longest(w inspect.Worker, at time.Time) string {
	if len(w.Running) == 0 {
		return ""
	}
	c := w.Running[0]
	return fmt.Sprintf("%s %v %s %d", c.Function, cli.Since(at, c.Since), c.Source, c.Offset)
}

// slots returns the numbers of slots and of stuck functions of a worker.
func slots(w inspect.Worker) cli.Number {
	n := cli.Number{Value: int64(w.Concurrency), Text: fmt.Sprintf("%d slots", w.Concurrency)}
	if w.Stuck > 0 {
		n.Text += fmt.Sprintf(", %d stuck", w.Stuck)
	}
	return n
}

func stagesVerb() *urfave.Command {
	type column = cli.Column[inspect.Stage]
	return lister("stages", "list the stages", func(s inspect.Snapshot) []inspect.Stage { return s.Stages },
		func(*time.Time) []column {
			return []column{
				{Head: "STAGE", Cell: func(s inspect.Stage) any { return s.ID }},
				{Head: "FUNCTION", Cell: func(s inspect.Stage) any { return s.Function }},
				{Head: "IN", Cell: func(s inspect.Stage) any { return s.In }},
				{Head: "OUT", Cell: func(s inspect.Stage) any { return s.Out }},
				{Head: "DONE", Cell: func(s inspect.Stage) any { return s.Done }},
				{Head: "RATE", Cell: func(s inspect.Stage) any { return perSecond(s.Rate) }},
				{Head: "FAILED", Cell: func(s inspect.Stage) any { return s.Failed }},
				{Head: "P50", Cell: func(s inspect.Stage) any { return short(s.P50) }},
				{Head: "P99", Cell: func(s inspect.Stage) any { return short(s.P99) }},
				{Head: "BUSY", Cell: func(s inspect.Stage) any { return percent(s.BusyShare()) }},
				{Head: "FULL", Cell: func(s inspect.Stage) any { return percent(s.FullShare()) }},
				{Head: "WORKERS", Cell: func(s inspect.Stage) any { return holders(s) }},
				{Head: "COST", Wide: true, Cell: func(s inspect.Stage) any { return short(s.Cost) }},
				{Head: "RETRIED", Wide: true, Cell: func(s inspect.Stage) any { return s.Retried }},
				{Head: "SLOTS", Wide: true, Cell: func(s inspect.Stage) any { return s.Slots }},
				{Head: "PARTITION", Wide: true, Cell: func(s inspect.Stage) any { return s.Partition }},
			}
		})
}

// short rounds a duration to three digits.
func short(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit)
}

// perSecond returns a rate with about three digits.
func perSecond(rate float64) cli.Number {
	n := cli.Number{Value: int64(rate * 1000), Text: fmt.Sprintf("%.3g/s", rate)}
	if rate >= 1000 {
		n.Text = fmt.Sprintf("%.0f/s", rate)
	}
	return n
}

// percent returns a share as a percentage.
func percent(share float64) cli.Number {
	return cli.Number{Value: int64(share * 1000), Text: fmt.Sprintf("%.0f%%", 100*share)}
}

// holders returns the number of workers that run a stage, and why others do not.
func holders(s inspect.Stage) cli.Number {
	n := cli.Number{Value: int64(s.Workers), Text: fmt.Sprint(s.Workers)}
	if s.Others > 0 {
		n.Text += fmt.Sprintf(", %d with other types", s.Others)
	}
	if s.Paused {
		n.Text += ", paused"
	}
	return n
}

func errorsVerb() *urfave.Command {
	type column = cli.Column[inspect.ErrorGroup]
	return reader("errors", "list the failures of the stages, in groups of similar messages", executor.Inspector.Errors,
		[]column{
			{Head: "LAST", Cell: func(e inspect.ErrorGroup) any { return e.Last.Format(time.RFC3339) }},
			{Head: "COUNT", Cell: func(e inspect.ErrorGroup) any { return e.Count }},
			{Head: "STAGE", Cell: func(e inspect.ErrorGroup) any { return e.Stage }},
			{Head: "FUNCTION", Cell: func(e inspect.ErrorGroup) any { return e.Function }},
			{Head: "CODE", Cell: func(e inspect.ErrorGroup) any { return e.Code }},
			{Head: "MESSAGE", Cell: func(e inspect.ErrorGroup) any { return e.Message }},
			{Head: "FIRST", Wide: true, Cell: func(e inspect.ErrorGroup) any { return e.First.Format(time.RFC3339) }},
			{Head: "SOURCE", Wide: true, Cell: func(e inspect.ErrorGroup) any { return e.Source }},
			{Head: "OFFSET", Wide: true, Cell: func(e inspect.ErrorGroup) any { return e.Offset }},
			{Head: "ATTEMPT", Wide: true, Cell: func(e inspect.ErrorGroup) any { return e.Attempt }},
			{Head: "WORKER", Wide: true, Cell: func(e inspect.ErrorGroup) any { return e.Worker }},
		})
}

func sourcesVerb() *urfave.Command {
	type column = cli.Column[inspect.Source]
	return lister("sources", "list the sources that are not delivered to their end", func(s inspect.Snapshot) []inspect.Source { return s.Sources },
		func(at *time.Time) []column {
			return []column{
				{Head: "SOURCE", Cell: func(s inspect.Source) any { return s.Name }},
				{Head: "QUEUE", Cell: func(s inspect.Source) any { return s.Queue }},
				{Head: "STATE", Cell: func(s inspect.Source) any { return s.State }},
				{Head: "STORED", Cell: func(s inspect.Source) any { return s.Stored }},
				{Head: "END", Cell: func(s inspect.Source) any { return known(s.End) }},
				{Head: "DELIVERED", Cell: func(s inspect.Source) any { return known(s.Delivered) }},
				{Head: "BY", Cell: func(s inspect.Source) any { return by(s, *at) }},
				{Head: "WHY", Cell: func(s inspect.Source) any { return s.Why }},
				{Head: "SINCE", Wide: true, Cell: func(s inspect.Source) any { return cli.Since(*at, s.Since) }},
				{Head: "WAITED", Wide: true, Cell: func(s inspect.Source) any { return percent(s.Waited) }},
				{Head: "CALLER", Wide: true, Cell: func(s inspect.Source) any { return percent(s.Caller) }},
				{Head: "DROPPED", Wide: true, Cell: func(s inspect.Source) any { return s.Dropped }},
				{Head: "DURABLE", Wide: true, Cell: func(s inspect.Source) any { return s.Durable }},
				{Head: "PARTITION", Wide: true, Cell: func(s inspect.Source) any { return s.Partition }},
			}
		})
}

func gathersVerb() *urfave.Command {
	type column = cli.Column[inspect.Gather]
	return lister("gathers", "list the gathers, and what they wait for", func(s inspect.Snapshot) []inspect.Gather { return s.Gathers },
		func(at *time.Time) []column {
			return []column{
				{Head: "QUEUE", Cell: func(g inspect.Gather) any { return g.Queue }},
				{Head: "STATE", Cell: func(g inspect.Gather) any { return g.State }},
				{Head: "DELIVERED", Cell: func(g inspect.Gather) any { return g.Delivered }},
				{Head: "HELD", Cell: func(g inspect.Gather) any { return g.Held }},
				{Head: "READER", Cell: func(g inspect.Gather) any { return percent(g.Reader) }},
				{Head: "WANTS", Cell: func(g inspect.Gather) any { return wants(g, *at) }},
				{Head: "BY", Cell: func(g inspect.Gather) any { return process(&g.By, *at) }},
				{Head: "SINCE", Wide: true, Cell: func(g inspect.Gather) any { return cli.Since(*at, g.Since) }},
				{Head: "BYTES", Wide: true, Cell: func(g inspect.Gather) any { return g.HeldBytes }},
				{Head: "PARTITION", Wide: true, Cell: func(g inspect.Gather) any { return g.Partition }},
			}
		})
}

// wants returns the item that a gather waits for, and for how long it has.
func wants(g inspect.Gather, at time.Time) string {
	if g.Wants == nil {
		return ""
	}
	return fmt.Sprintf("%s %d %v", g.Wants.Source, g.Wants.Offset, cli.Since(at, g.Wants.Since))
}

// known returns a number that is -1 if it is not known.
func known(n int64) cli.Number {
	if n < 0 {
		return cli.Number{Value: n}
	}
	return cli.Number{Value: n, Text: fmt.Sprint(n)}
}

func by(s inspect.Source, at time.Time) string {
	if s.By == nil {
		return ""
	}
	return process(s.By, at)
}

func flowsVerb() *urfave.Command {
	type column = cli.Column[inspect.Flow]
	return lister("flows", "list the flows: queues that stages connect", inspect.Snapshot.Flows,
		func(at *time.Time) []column {
			return []column{
				{Head: "FLOW", Cell: func(f inspect.Flow) any { return f.Name }},
				{Head: "STATE", Cell: func(f inspect.Flow) any { return f.State }},
				{Head: "WAITING", Cell: func(f inspect.Flow) any { return f.Waiting }},
				{Head: "RUNNING", Cell: func(f inspect.Flow) any { return f.Running }},
				{Head: "OLDEST", Cell: func(f inspect.Flow) any { return cli.Since(*at, f.Oldest) }},
				{Head: "OUT", Cell: func(f inspect.Flow) any { return perSecond(f.RateOut) }},
				{Head: "ETA", Cell: func(f inspect.Flow) any { return f.ETA.Round(time.Second) }},
				{Head: "FUNCTIONS", Cell: func(f inspect.Flow) any { return strings.Join(f.Chain, " > ") }},
				{Head: "WHY", Cell: func(f inspect.Flow) any { return why(f) }},
				{Head: "IN", Wide: true, Cell: func(f inspect.Flow) any { return perSecond(f.RateIn) }},
				{Head: "FAILED", Wide: true, Cell: func(f inspect.Flow) any { return f.Failed }},
				{Head: "AGE", Wide: true, Cell: func(f inspect.Flow) any { return cli.Since(*at, f.OldestScattered) }},
				{Head: "SOURCES", Wide: true, Cell: func(f inspect.Flow) any { return f.Sources }},
				{Head: "QUEUES", Wide: true, Cell: func(f inspect.Flow) any { return f.Queues }},
				{Head: "PARTITION", Wide: true, Cell: func(f inspect.Flow) any { return f.Partition }},
			}
		})
}

// why returns why items of a flow do not move, or what limits its rate.
func why(f inspect.Flow) string {
	if f.Why == "" && f.Bottleneck != nil {
		return f.Bottleneck.Text
	}
	return f.Why
}

// lister returns a verb that lists rows of a snapshot. The columns get the time of the snapshot.
func lister[T any](name, usage string, rows func(inspect.Snapshot) []T, columns func(at *time.Time) []cli.Column[T]) *urfave.Command {
	var at time.Time
	return reader(name, usage, func(o executor.Inspector, ctx context.Context) ([]T, error) {
		s, err := o.Snapshot(ctx)
		at = s.At
		return rows(s), err
	}, columns(&at))
}

// reader returns a verb that lists rows.
func reader[T any](name, usage string, rows func(executor.Inspector, context.Context) ([]T, error), columns []cli.Column[T]) *urfave.Command {
	return &urfave.Command{
		Name: name, Usage: usage, UsageText: "dqbridge " + name + " [FLAGS]", Flags: common(cli.WatchFlags()...),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, name); err != nil {
				return err
			}
			return observe(c, func(o executor.Inspector) error {
				return cli.Watch(c, func(ctx context.Context) ([]T, error) { return rows(o, ctx) }, columns...)
			})
		},
	}
}
