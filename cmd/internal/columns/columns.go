// Package columns has the columns of the lists of a namespace: those of the verbs that list, and of
// top.
package columns

import (
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/inspect"
)

// Flows returns the columns of flows, with ages at the time at.
func Flows(at time.Time) []cli.Column[inspect.Flow] {
	return []cli.Column[inspect.Flow]{
		{Head: "FLOW", Cell: func(f inspect.Flow) any { return f.Name }},
		{Head: "STATE", Cell: func(f inspect.Flow) any { return f.State }},
		{Head: "WAITING", Cell: func(f inspect.Flow) any { return f.Waiting }},
		{Head: "RUNNING", Cell: func(f inspect.Flow) any { return f.Running }},
		{Head: "OLDEST", Cell: func(f inspect.Flow) any { return cli.Since(at, f.Oldest) }},
		{Head: "OUT", Cell: func(f inspect.Flow) any { return perSecond(f.RateOut) }},
		{Head: "ETA", Cell: func(f inspect.Flow) any { return timeOrNone(f.ETA.Round(time.Second)) }},
		{Head: "FUNCTIONS", Cell: func(f inspect.Flow) any { return strings.Join(f.Chain, " > ") }},
		{Head: "WHY", Cell: func(f inspect.Flow) any { return why(f) }},
		{Head: "REMEDY", Wide: true, Cell: func(f inspect.Flow) any { return remedy(f) }},
		{Head: "IN", Wide: true, Cell: func(f inspect.Flow) any { return perSecond(f.RateIn) }},
		{Head: "FAILED", Wide: true, Cell: func(f inspect.Flow) any { return f.Failed }},
		{Head: "AGE", Wide: true, Cell: func(f inspect.Flow) any { return cli.Since(at, f.OldestScattered) }},
		{Head: "SOURCES", Wide: true, Cell: func(f inspect.Flow) any { return f.Sources }},
		{Head: "QUEUES", Wide: true, Cell: func(f inspect.Flow) any { return f.Queues }},
		{Head: "PARTITION", Wide: true, Cell: func(f inspect.Flow) any { return f.Partition }},
	}
}

// EndedFlows returns the columns of flows that have gone.
func EndedFlows() []cli.Column[inspect.EndedFlow] {
	type flow = inspect.EndedFlow
	return []cli.Column[flow]{
		{Head: "ENDED", Cell: func(f flow) any { return timeOf(f.Ended) }},
		{Head: "FLOW", Cell: func(f flow) any { return f.Name }},
		{Head: "FUNCTIONS", Cell: func(f flow) any { return strings.Join(f.Chain, " > ") }},
		{Head: "TOOK", Cell: func(f flow) any { return took(f) }},
		{Head: "ITEMS", Cell: func(f flow) any { return f.Items }},
		{Head: "FAILED", Cell: func(f flow) any { return f.Failed }},
		{Head: "P50", Cell: func(f flow) any { return each(f, func(s inspect.EndedStage) time.Duration { return s.P50 }) }},
		{Head: "P99", Cell: func(f flow) any { return each(f, func(s inspect.EndedStage) time.Duration { return s.P99 }) }},
		{Head: "ERROR", Cell: func(f flow) any { return topError(f) }},
		{Head: "BEGAN", Wide: true, Cell: func(f flow) any { return timeOf(f.Began) }},
		{Head: "PARTITION", Wide: true, Cell: func(f flow) any { return f.Partition }},
	}
}

// Stages returns the columns of stages.
func Stages() []cli.Column[inspect.Stage] {
	return []cli.Column[inspect.Stage]{
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
		{Head: "P95", Wide: true, Cell: func(s inspect.Stage) any { return knownTime(s.P95) }},
		{Head: "COST", Wide: true, Cell: func(s inspect.Stage) any { return short(s.Cost) }},
		{Head: "WAIT", Wide: true, Cell: func(s inspect.Stage) any { return waited(s) }},
		{Head: "BATCH", Wide: true, Cell: func(s inspect.Stage) any { return batchSize(s) }},
		{Head: "RETRIED", Wide: true, Cell: func(s inspect.Stage) any { return s.Retried }},
		{Head: "LIMITS", Wide: true, Cell: func(s inspect.Stage) any { return s.Limits }},
		{Head: "TAGS", Wide: true, Cell: func(s inspect.Stage) any { return s.Tags }},
		{Head: "SLOTS", Wide: true, Cell: func(s inspect.Stage) any { return s.Slots }},
		{Head: "PARTITION", Wide: true, Cell: func(s inspect.Stage) any { return s.Partition }},
	}
}

// Workers returns the columns of workers, with ages at the time at.
func Workers(at time.Time) []cli.Column[inspect.Worker] {
	return []cli.Column[inspect.Worker]{
		{Head: "WORKER", Cell: func(w inspect.Worker) any { return w.ID }},
		{Head: "HOST", Cell: func(w inspect.Worker) any { return w.Host }},
		{Head: "PID", Cell: func(w inspect.Worker) any { return w.PID }},
		{Head: "STATE", Cell: func(w inspect.Worker) any { return workerState(w, at) }},
		{Head: "CONCURRENCY", Cell: func(w inspect.Worker) any { return slots(w) }},
		{Head: "DONE", Cell: func(w inspect.Worker) any { return w.Done }},
		{Head: "FAILED", Cell: func(w inspect.Worker) any { return w.Failed }},
		{Head: "LONGEST", Cell: func(w inspect.Worker) any { return longest(w, at) }},
		{Head: "FUNCTIONS", Cell: func(w inspect.Worker) any { return w.Functions }},
		{Head: "TAGS", Wide: true, Cell: func(w inspect.Worker) any { return w.Tags }},
	}
}

// Queues returns the columns of queues, with ages at the time at.
func Queues(at time.Time) []cli.Column[inspect.Queue] {
	return []cli.Column[inspect.Queue]{
		{Head: "QUEUE", Cell: func(q inspect.Queue) any { return q.Name }},
		{Head: "TYPE", Cell: func(q inspect.Queue) any { return q.Type }},
		{Head: "STATE", Cell: func(q inspect.Queue) any { return queueState(q) }},
		{Head: "WAITING", Cell: func(q inspect.Queue) any { return q.Waiting }},
		{Head: "REQUEUED", Cell: func(q inspect.Queue) any { return atLeast(q, q.Requeued) }},
		{Head: "DELAYED", Cell: func(q inspect.Queue) any { return atLeast(q, q.Delayed) }},
		{Head: "SUSPECT", Cell: func(q inspect.Queue) any { return atLeast(q, q.Suspects) }},
		{Head: "RUNNING", Cell: func(q inspect.Queue) any { return atLeast(q, q.Running) }},
		{Head: "OLDEST", Cell: func(q inspect.Queue) any { return cli.Since(at, q.Oldest) }},
		{Head: "CONSUMER", Cell: func(q inspect.Queue) any { return Consumer(q, at) }},
		{Head: "AGE", Wide: true, Cell: func(q inspect.Queue) any { return cli.Since(at, q.OldestScattered) }},
		{Head: "ADDED", Wide: true, Cell: func(q inspect.Queue) any { return q.Added }},
		{Head: "FUSED", Wide: true, Cell: func(q inspect.Queue) any { return q.Fused }},
		{Head: "INPUTS", Wide: true, Cell: func(q inspect.Queue) any { return q.Inputs }},
		{Head: "MAX", Wide: true, Cell: func(q inspect.Queue) any { return q.Max }},
		{Head: "DROPPED", Wide: true, Cell: func(q inspect.Queue) any { return q.Dropped }},
		{Head: "BYTES", Wide: true, Cell: func(q inspect.Queue) any { return q.Bytes }},
		{Head: "SOURCES", Wide: true, Cell: func(q inspect.Queue) any { return q.Sources }},
		{Head: "FLOW", Wide: true, Cell: func(q inspect.Queue) any { return q.Flow }},
		{Head: "PARTITION", Wide: true, Cell: func(q inspect.Queue) any { return q.Partition }},
	}
}

// Sources returns the columns of sources, with ages at the time at.
func Sources(at time.Time) []cli.Column[inspect.Source] {
	return []cli.Column[inspect.Source]{
		{Head: "SOURCE", Cell: func(s inspect.Source) any { return s.Name }},
		{Head: "QUEUE", Cell: func(s inspect.Source) any { return s.Queue }},
		{Head: "STATE", Cell: func(s inspect.Source) any { return s.State }},
		{Head: "STORED", Cell: func(s inspect.Source) any { return s.Stored }},
		{Head: "END", Cell: func(s inspect.Source) any { return known(s.End) }},
		{Head: "DELIVERED", Cell: func(s inspect.Source) any { return known(s.Delivered) }},
		{Head: "BY", Cell: func(s inspect.Source) any { return by(s.By, at) }},
		{Head: "WHY", Cell: func(s inspect.Source) any { return s.Why }},
		{Head: "SINCE", Wide: true, Cell: func(s inspect.Source) any { return cli.Since(at, s.Since) }},
		{Head: "WAITED", Wide: true, Cell: func(s inspect.Source) any { return percent(s.Waited) }},
		{Head: "CALLER", Wide: true, Cell: func(s inspect.Source) any { return percent(s.Caller) }},
		{Head: "DROPPED", Wide: true, Cell: func(s inspect.Source) any { return s.Dropped }},
		{Head: "DURABLE", Wide: true, Cell: func(s inspect.Source) any { return s.Durable }},
		{Head: "PARTITION", Wide: true, Cell: func(s inspect.Source) any { return s.Partition }},
	}
}

// Gathers returns the columns of gathers, with ages at the time at.
func Gathers(at time.Time) []cli.Column[inspect.Gather] {
	return []cli.Column[inspect.Gather]{
		{Head: "QUEUE", Cell: func(g inspect.Gather) any { return g.Queue }},
		{Head: "STATE", Cell: func(g inspect.Gather) any { return g.State }},
		{Head: "DELIVERED", Cell: func(g inspect.Gather) any { return g.Delivered }},
		{Head: "HELD", Cell: func(g inspect.Gather) any { return g.Held }},
		{Head: "READER", Cell: func(g inspect.Gather) any { return percent(g.Reader) }},
		{Head: "WANTS", Cell: func(g inspect.Gather) any { return wants(g, at) }},
		{Head: "BY", Cell: func(g inspect.Gather) any { return process(&g.By, at) }},
		{Head: "SINCE", Wide: true, Cell: func(g inspect.Gather) any { return cli.Since(at, g.Since) }},
		{Head: "BYTES", Wide: true, Cell: func(g inspect.Gather) any { return g.HeldBytes }},
		{Head: "PARTITION", Wide: true, Cell: func(g inspect.Gather) any { return g.Partition }},
	}
}

// Errors returns the columns of groups of failures.
func Errors() []cli.Column[inspect.ErrorGroup] {
	return []cli.Column[inspect.ErrorGroup]{
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
	}
}

// Locations returns the columns of the locations of an item, with ages at the time at.
func Locations(at time.Time) []cli.Column[inspect.Location] {
	return []cli.Column[inspect.Location]{
		{Head: "STATE", Cell: func(p inspect.Location) any { return p.State }},
		{Head: "QUEUE", Cell: func(p inspect.Location) any { return p.Queue }},
		{Head: "SINCE", Cell: func(p inspect.Location) any { return cli.Since(at, p.Since) }},
		{Head: "ATTEMPTS", Cell: func(p inspect.Location) any { return p.Attempts }},
		{Head: "BY", Cell: func(p inspect.Location) any { return by(p.By, at) }},
		{Head: "WHERE", Cell: func(p inspect.Location) any { return p.Text }},
	}
}

// Calls returns the columns of the calls of a worker, with ages at the time at.
func Calls(at time.Time) []cli.Column[inspect.Call] {
	return []cli.Column[inspect.Call]{
		{Head: "FUNCTION", Cell: func(c inspect.Call) any { return c.Function }},
		{Head: "FOR", Cell: func(c inspect.Call) any { return cli.Since(at, c.Since) }},
		{Head: "STAGE", Cell: func(c inspect.Call) any { return c.Stage }},
		{Head: "SOURCE", Cell: func(c inspect.Call) any { return c.Source }},
		{Head: "OFFSET", Cell: func(c inspect.Call) any { return c.Offset }},
		{Head: "ITEMS", Cell: func(c inspect.Call) any { return c.Items }},
		{Head: "ATTEMPT", Cell: func(c inspect.Call) any { return c.Attempt }},
	}
}
