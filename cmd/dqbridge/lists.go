package main

import (
	"context"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/columns"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
)

func flowsVerb() *urfave.Command {
	return lister("flows", "list the flows: queues that stages connect", inspect.Snapshot.Flows, columns.Flows)
}

func queuesVerb() *urfave.Command {
	return lister("queues", "list the queues, and their items by the place where they are",
		func(s inspect.Snapshot) []inspect.Queue { return s.Queues }, columns.Queues)
}

func sourcesVerb() *urfave.Command {
	return lister("sources", "list the sources that are not delivered to their end",
		func(s inspect.Snapshot) []inspect.Source { return s.Sources }, columns.Sources)
}

func gathersVerb() *urfave.Command {
	return lister("gathers", "list the gathers, and what they wait for", func(s inspect.Snapshot) []inspect.Gather { return s.Gathers }, columns.Gathers)
}

func stagesVerb() *urfave.Command {
	return lister("stages", "list the stages", func(s inspect.Snapshot) []inspect.Stage { return s.Stages },
		func(time.Time) []cli.Column[inspect.Stage] { return columns.Stages() })
}

func workersVerb() *urfave.Command {
	return lister("workers", "list the workers", func(s inspect.Snapshot) []inspect.Worker { return s.Workers }, columns.Workers)
}

func errorsVerb() *urfave.Command {
	return reader("errors", "list the failures of the stages, in groups of similar messages",
		func(o executor.Inspector, ctx context.Context) ([]inspect.ErrorGroup, []cli.Column[inspect.ErrorGroup], error) {
			groups, err := o.Errors(ctx)
			return groups, columns.Errors(), err
		})
}

// lister returns a verb that lists rows of a snapshot. The columns get the time of the snapshot.
func lister[T any](name, usage string, rows func(inspect.Snapshot) []T, columns func(at time.Time) []cli.Column[T]) *urfave.Command {
	return reader(name, usage, func(o executor.Inspector, ctx context.Context) ([]T, []cli.Column[T], error) {
		s, err := o.Snapshot(ctx)
		return rows(s), columns(s.At), err
	})
}

// reader returns a verb that lists rows in columns.
func reader[T any](name, usage string, read func(executor.Inspector, context.Context) ([]T, []cli.Column[T], error)) *urfave.Command {
	return &urfave.Command{
		Name: name, Usage: usage, UsageText: "dqbridge " + name + " [FLAGS]", Flags: common(cli.WatchFlags()...),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, name); err != nil {
				return err
			}
			return observe(c, func(o executor.Inspector) error {
				return cli.Watch(c, func(ctx context.Context) ([]T, []cli.Column[T], error) { return read(o, ctx) })
			})
		},
	}
}
