package main

import (
	"context"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/columns"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/watch"
)

func flowsVerb() *urfave.Command {
	return reader("flows", "list the flows: queues that stages connect",
		func(c *urfave.Context, o executor.Inspector) func(context.Context) ([]inspect.Flow, []cli.Column[inspect.Flow], error) {
			look := looks(c, o)
			return func(ctx context.Context) ([]inspect.Flow, []cli.Column[inspect.Flow], error) {
				v, err := look(ctx)
				return v.Flows(), columns.Flows(v.Snapshot.At), err
			}
		})
}

// looks returns how a verb looks at the namespace: again and again with --watch, and otherwise once.
func looks(c *urfave.Context, o executor.Inspector) func(context.Context) (watch.View, error) {
	if c.Bool("watch") {
		return watch.NewLooker(o).Look
	}
	return watch.NewLooker(o).Once
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
		func(_ *urfave.Context, o executor.Inspector) func(context.Context) ([]inspect.ErrorGroup, []cli.Column[inspect.ErrorGroup], error) {
			return func(ctx context.Context) ([]inspect.ErrorGroup, []cli.Column[inspect.ErrorGroup], error) {
				groups, err := o.Errors(ctx)
				return groups, columns.Errors(), err
			}
		})
}

// lister returns a verb that lists rows of a snapshot. The columns get the time of the snapshot.
func lister[T any](name, usage string, rows func(inspect.Snapshot) []T, columns func(at time.Time) []cli.Column[T]) *urfave.Command {
	return reader(name, usage, func(_ *urfave.Context, o executor.Inspector) func(context.Context) ([]T, []cli.Column[T], error) {
		return func(ctx context.Context) ([]T, []cli.Column[T], error) {
			s, err := o.Snapshot(ctx)
			return rows(s), columns(s.At), err
		}
	})
}

// reader returns a verb that lists rows in columns. begin returns the function that reads them.
func reader[T any](name, usage string, begin func(*urfave.Context, executor.Inspector) func(context.Context) ([]T, []cli.Column[T], error)) *urfave.Command {
	return &urfave.Command{
		Name: name, Usage: usage, UsageText: "dqbridge " + name + " [FLAGS]", Flags: common(cli.WatchFlags()...),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, name); err != nil {
				return err
			}
			return observe(c, func(o executor.Inspector) error { return cli.Watch(c, begin(c, o)) })
		},
	}
}
