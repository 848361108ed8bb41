package main

import (
	"context"
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/cli"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

func functionsVerb() *urfave.Command {
	return &urfave.Command{
		Name: "functions", Usage: "list the functions of the fleet, with types; without Redis, those that run can use here",
		UsageText: "dqbridge functions [--json]", Flags: common(cli.JSONFlag(), cli.FnFlag()),
		Action: func(c *urfave.Context) error {
			if c.NArg() > 0 {
				return cli.Usagef("functions takes no argument, got %q", c.Args().First())
			}
			set, err := cli.Commands(c)
			if err != nil {
				return err
			}
			defer set.Close()
			own := set.Functions()
			if c.String("redis") == "" {
				own = cli.WithBuiltins(own)
			}
			return with(c, cli.NewConsole(c.App.ErrWriter), func(ex *executor.Executor) error {
				if len(own) > 0 {
					if err := ex.Register(own...); err != nil {
						return cli.AsUsage(err)
					}
				}
				return listFunctions(c, ex)
			})
		},
	}
}

func listFunctions(c *urfave.Context, ex *executor.Executor) error {
	list, err := ex.Functions(c.Context)
	if err != nil {
		return err
	}
	typed := func(name, codec string) string { return fmt.Sprintf("%s (%s)", name, codec) }
	return cli.List(c, list,
		cli.Column[executor.FunctionInfo]{Head: "FUNCTION", Cell: func(f executor.FunctionInfo) any { return f.Name }},
		cli.Column[executor.FunctionInfo]{Head: "IN", Cell: func(f executor.FunctionInfo) any { return typed(f.In, f.InCodec) }},
		cli.Column[executor.FunctionInfo]{Head: "OUT", Cell: func(f executor.FunctionInfo) any { return typed(f.Out, f.OutCodec) }},
		cli.Column[executor.FunctionInfo]{Head: "WORKERS", Cell: func(f executor.FunctionInfo) any { return f.Workers }})
}

func scatterVerb() *urfave.Command {
	return &urfave.Command{
		Name: "scatter", Usage: "add the lines of stdin to a named queue",
		UsageText: "dqbridge scatter [--seal] [--on-full WHAT] QUEUE", ArgsUsage: "QUEUE",
		Flags: common(
			&urfave.BoolFlag{Name: "seal", DisableDefaultText: true, Usage: "nothing is added afterwards, so that a gather can end"},
			&urfave.IntFlag{Name: "max", Usage: "let at most `N` items wait, if the queue is made now", DefaultText: "no bound"},
			&urfave.StringFlag{Name: "on-full", Value: string(bridge.Block), Usage: "do `WHAT` with a line for which there is no room: " +
				"block waits, drop-newest drops it, drop-oldest drops what nobody has read yet, fail ends"}),
		Action: func(c *urfave.Context) error {
			if err := cli.Positive(c, "max"); err != nil {
				return err
			}
			onFull, err := cli.OneOf(c, "on-full", bridge.Block, bridge.DropNewest, bridge.DropOldest, bridge.Fail)
			if err != nil {
				return err
			}
			return shared(c, 1, "scatter [--seal] [--on-full WHAT] QUEUE", func(ex *executor.Executor) error { return scatter(c, ex, onFull) })
		},
	}
}

func scatter(c *urfave.Context, ex *executor.Executor, onFull bridge.Policy) error {
	opts := []bridge.ScatterOption{bridge.Name(c.Args().First()), bridge.Overflow(onFull)}
	if c.Bool("seal") {
		opts = append(opts, bridge.Seal())
	}
	if c.IsSet("max") {
		opts = append(opts, bridge.MaxSize(c.Int("max")))
	}
	input := cli.Feed(c.Context, nil, nil, cli.Items(cli.Lines(c.App.Reader, '\n')))
	q, err := bridge.ScatterSlices(c.Context, ex, input.Items, opts...)
	if err != nil {
		return err
	}
	<-q.Done()
	return errors.Join(q.Err(), input.Err())
}

func mapVerb() *urfave.Command {
	return &urfave.Command{
		Name: "map", Usage: "have the fleet call a function for each item of a named queue",
		UsageText: "dqbridge map [--replace] FN IN OUT", ArgsUsage: "FN IN OUT",
		Flags: common(
			&urfave.StringFlag{Name: "timeout", Usage: "give the function `TIME` for an item, such as 10s", DefaultText: "none"},
			&urfave.IntFlag{Name: "retries", Usage: "try an item that failed `N` more times"},
			&urfave.BoolFlag{Name: "replace", DisableDefaultText: true, Usage: "replace the stage of another function that IN has"}),
		Action: func(c *urfave.Context) error {
			stage, err := stageOptions(c)
			if err != nil {
				return err
			}
			if c.Bool("replace") {
				stage = append(stage, executor.ReplaceStage())
			}
			return shared(c, 3, "map [--replace] FN IN OUT", func(ex *executor.Executor) error {
				name, in, out := c.Args().Get(0), c.Args().Get(1), c.Args().Get(2)
				if _, missing, err := find(c.Context, ex, []string{name}); err == nil && len(missing) > 0 {
					_, _ = fmt.Fprintf(c.App.ErrWriter, "dqbridge: no live worker has %s yet; the stage waits for one\n", name)
				}
				q, err := open(c.Context, ex, in)
				if err != nil {
					return err
				}
				_, err = executor.Map(c.Context, workers.Remote[codec.Item, codec.Item](name), q, append(stage, executor.Name(out))...)
				if errors.Is(err, executor.ErrStageExists) && !c.Bool("replace") {
					err = fmt.Errorf("%w (dqbridge map --replace)", err)
				}
				return err
			})
		},
	}
}

func gatherVerb() *urfave.Command {
	return &urfave.Command{
		Name: "gather", Usage: "take the items of a named queue to stdout, in order, until it is sealed and empty",
		UsageText: "dqbridge gather [--errors WHAT] QUEUE", ArgsUsage: "QUEUE", Flags: common(errorsFlag()),
		Action: func(c *urfave.Context) error {
			what, err := cli.ParseErrors(c.String("errors"))
			if err != nil {
				return err
			}
			return shared(c, 1, "gather QUEUE", func(ex *executor.Executor) error {
				q, err := open(c.Context, ex, c.Args().First())
				if err != nil {
					return err
				}
				// A line is delivered when it was written: the next gather brings the others.
				p := cli.Printer{
					Console: cli.NewConsole(c.App.ErrWriter), Errors: what, Progress: &cli.Progress{},
					Rest: "gather " + q.Name() + " again for the others",
				}
				return show(c, q, p, bridge.ManualAck())
			})
		},
	}
}

// open finds a queue; where there is none, it says which one may be meant.
func open(ctx context.Context, ex *executor.Executor, name string) (*executor.Queue[codec.Item], error) {
	q, err := executor.Open[codec.Item](ctx, ex, name)
	return q, near(ctx, ex, name, err)
}

func near(ctx context.Context, ex *executor.Executor, name string, err error) error {
	if !errors.Is(err, executor.ErrNoQueue) {
		return err
	}
	queues, failed := ex.Queues(ctx)
	if failed != nil {
		return err
	}
	return fmt.Errorf("%w: %s", err, cli.Instead(name, cli.Names(queues, func(q executor.QueueInfo) string { return q.Name })))
}

func deleteVerb() *urfave.Command {
	return &urfave.Command{
		Name: "delete", Usage: "delete a queue, what is in it and its stages",
		UsageText: "dqbridge delete QUEUE", ArgsUsage: "QUEUE", Flags: common(),
		Action: func(c *urfave.Context) error {
			return shared(c, 1, "delete QUEUE", func(ex *executor.Executor) error {
				name := c.Args().First()
				return near(c.Context, ex, name, ex.Delete(c.Context, name))
			})
		},
	}
}
