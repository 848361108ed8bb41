package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
)

func queuesVerb() *urfave.Command {
	type column = cli.Column[executor.QueueInfo]
	return lister("queues", "list the queues", executor.Inspector.Queues,
		column{Head: "QUEUE", Cell: func(q executor.QueueInfo) any { return q.Name }},
		column{Head: "TYPE", Cell: func(q executor.QueueInfo) any { return q.Type }},
		column{Head: "WAITING", Cell: func(q executor.QueueInfo) any { return q.Waiting }},
		column{Head: "RUNNING", Cell: func(q executor.QueueInfo) any { return q.Running }},
		column{Head: "MAX", Cell: func(q executor.QueueInfo) any { return q.Max }},
		column{Head: "DROPPED", Cell: func(q executor.QueueInfo) any { return q.Dropped }},
		column{Head: "SEALED", Cell: func(q executor.QueueInfo) any { return q.Sealed }},
		column{Head: "CONSUMER", Cell: func(q executor.QueueInfo) any { return q.Consumer }})
}

func workersVerb() *urfave.Command {
	type column = cli.Column[executor.WorkerInfo]
	return lister("workers", "list the live workers", executor.Inspector.Workers,
		column{Head: "WORKER", Cell: func(w executor.WorkerInfo) any { return w.ID }},
		column{Head: "HOST", Cell: func(w executor.WorkerInfo) any { return w.Host }},
		column{Head: "PID", Cell: func(w executor.WorkerInfo) any { return w.PID }},
		column{Head: "CONCURRENCY", Cell: func(w executor.WorkerInfo) any { return slots(w) }},
		column{Head: "DONE", Cell: func(w executor.WorkerInfo) any { return w.Done }},
		column{Head: "FAILED", Cell: func(w executor.WorkerInfo) any { return w.Failed }},
		column{Head: "FUNCTIONS", Cell: func(w executor.WorkerInfo) any { return w.Functions }})
}

func stagesVerb() *urfave.Command {
	type column = cli.Column[executor.StageInfo]
	return lister("stages", "list the stages", executor.Inspector.Stages,
		column{Head: "STAGE", Cell: func(s executor.StageInfo) any { return s.ID }},
		column{Head: "FUNCTION", Cell: func(s executor.StageInfo) any { return s.Function }},
		column{Head: "IN", Cell: func(s executor.StageInfo) any { return s.In }},
		column{Head: "OUT", Cell: func(s executor.StageInfo) any { return s.Out }},
		column{Head: "COST", Cell: func(s executor.StageInfo) any { return s.Cost.Round(time.Microsecond / 10) }},
		column{Head: "WORKERS", Cell: func(s executor.StageInfo) any { return s.Workers }})
}

// lister returns a verb that lists rows.
func lister[T any](name, usage string, rows func(executor.Inspector, context.Context) ([]T, error), columns ...cli.Column[T]) *urfave.Command {
	return &urfave.Command{
		Name: name, Usage: usage, UsageText: "dqbridge " + name + " [--json]", Flags: common(cli.JSONFlag()),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, name+" [--json]"); err != nil {
				return err
			}
			o, err := executor.NewInspector(c.Context, c.String("redis"), executor.Logger(cli.Logger(c, c.App.ErrWriter)))
			if err != nil {
				return err
			}
			list, err := rows(o, c.Context)
			if err := errors.Join(err, o.Close()); err != nil {
				return err
			}
			return cli.List(c, list, columns...)
		},
	}
}

// slots returns the text of the numbers of slots and of stuck functions of a worker.
func slots(w executor.WorkerInfo) string {
	if w.Stuck == 0 {
		return fmt.Sprintf("%d slots", w.Concurrency)
	}
	return fmt.Sprintf("%d slots, %d stuck", w.Concurrency, w.Stuck)
}
