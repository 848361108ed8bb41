package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/nearest"
)

func functionsVerb() *urfave.Command {
	return &urfave.Command{
		Name: "functions", Usage: "list the functions of the workers, with types; without Redis, the functions of run in this process",
		UsageText: "dqbridge functions [--json]", Flags: common(cli.JSONFlag(), cli.FnFlag(), cli.ChildFlag()),
		Action: func(c *urfave.Context) error {
			if c.NArg() > 0 {
				return cli.Usagef("functions takes no argument, got %q", c.Args().First())
			}
			console := cli.NewConsole(c.App.ErrWriter)
			set, own, err := cli.Commands(c, console)
			if err != nil {
				return err
			}
			defer set.Close()
			switch {
			case c.String("redis") == "":
				own = cli.WithBuiltins(own)
			case len(own) == 0:
				return observe(c, func(o executor.Inspector) error { return listFunctions(c, o) })
			}
			return with(c, console, func(ex *executor.Executor) error {
				if err := ex.Register(own...); err != nil {
					return cli.AsUsage(err)
				}
				return listFunctions(c, ex)
			})
		},
	}
}

func listFunctions(c *urfave.Context, o executor.Inspector) error {
	list, err := o.Functions(c.Context)
	if err != nil {
		return err
	}
	typed := func(name, codec string) string { return fmt.Sprintf("%s (%s)", name, codec) }
	return cli.List(c, list,
		cli.Column[inspect.Function]{Head: "FUNCTION", Cell: func(f inspect.Function) any { return f.Name }},
		cli.Column[inspect.Function]{Head: "IN", Cell: func(f inspect.Function) any { return typed(f.In, f.InCodec) }},
		cli.Column[inspect.Function]{Head: "OUT", Cell: func(f inspect.Function) any { return typed(f.Out, f.OutCodec) }},
		cli.Column[inspect.Function]{Head: "VERSION", Cell: func(f inspect.Function) any { return cmp.Or(f.Version, "-") }},
		cli.Column[inspect.Function]{Head: "WORKERS", Cell: func(f inspect.Function) any { return f.Workers }})
}

const (
	mapUsage   = "map [--replace|--insert] FN IN OUT"
	unmapUsage = "unmap FN IN"
)

func unmapVerb() *urfave.Command {
	return &urfave.Command{
		Name: "unmap", Usage: "take the stage of a function over a named queue out of service, once workers have finished what they run",
		UsageText: "dqbridge " + unmapUsage, ArgsUsage: "FN IN", Flags: common(),
		Description: "The queue keeps its items for the stage that takes its place, see map; resume takes the removal back.",
		Action: func(c *urfave.Context) error {
			return shared(c, 2, unmapUsage, func(ex *executor.Executor) error {
				name, in := c.Args().Get(0), c.Args().Get(1)
				return withSuggestion(c.Context, ex, in, ex.RemoveStage(c.Context, in, name))
			})
		},
	}
}

func mapVerb() *urfave.Command {
	return &urfave.Command{
		Name: "map", Usage: "make a stage: workers call a function for each item of a named queue",
		UsageText: "dqbridge " + mapUsage, ArgsUsage: "FN IN OUT",
		Flags: common(
			&urfave.StringFlag{Name: "timeout", Usage: "fail an item whose function takes longer than `TIME`, such as 10s", DefaultText: "none"},
			&urfave.IntFlag{Name: "retries", Usage: "try a failed item up to `N` more times"},
			&urfave.StringFlag{Name: "limit", Usage: "begin at most so many calls in a time, over all workers: `N/TIME`, such as 100/s or 5/30s", DefaultText: "none"},
			&urfave.StringFlag{Name: "max", Usage: "run at most `N` calls at once, over all workers", DefaultText: "none"},
			cli.TagsFlag("let only workers run the stage that have these `TAGS`, with commas between, such as gpu,eu"),
			&urfave.BoolFlag{Name: "replace", DisableDefaultText: true, Usage: "replace the stage of another function on IN"},
			&urfave.BoolFlag{Name: "insert", DisableDefaultText: true, Usage: "insert the stage in front of the one on IN, which reads OUT then"}),
		Action: func(c *urfave.Context) error {
			stage, err := stageOptions(c)
			if err != nil {
				return err
			}
			limits, err := ownLimits(c)
			if err != nil {
				return err
			}
			stage = append(stage, limits...)
			if tags := cli.Tags(c); tags != nil {
				stage = append(stage, executor.Tags(tags...))
			}
			if c.Bool("replace") {
				stage = append(stage, executor.ReplaceStage())
			}
			if c.Bool("insert") {
				stage = append(stage, executor.InsertStage())
			}
			return shared(c, 3, mapUsage, func(ex *executor.Executor) error {
				name, in, out := c.Args().Get(0), c.Args().Get(1), c.Args().Get(2)
				q, err := open(c.Context, ex, in)
				if err != nil {
					return err
				}
				f := inspect.Function{Name: name}
				found, missing, _ := find(c.Context, ex, []string{name}) // without an answer, the stage has no types
				if len(found) == 1 {
					f = found[0]
				}
				switch _, err = stageOf(c.Context, f, q, append(stage, executor.Name(out))...); {
				case errors.Is(err, executor.ErrStageExists) && !c.Bool("replace") && !c.Bool("insert"):
					return fmt.Errorf("%w (dqbridge map --replace)", err)
				case err == nil && len(missing) > 0:
					_, _ = fmt.Fprintf(c.App.ErrWriter, "dqbridge: no live worker has %s yet; the stage waits for one\n", name)
				}
				return err
			})
		},
	}
}

// open opens a queue. The error of a missing queue has a suggestion.
func open(ctx context.Context, ex *executor.Executor, name string) (*executor.Queue[codec.Item], error) {
	q, err := executor.Open[codec.Item](ctx, ex, name)
	return q, withSuggestion(ctx, ex, name, err)
}

// withSuggestion adds the nearest name of a queue to the error of a missing queue.
func withSuggestion(ctx context.Context, o executor.Inspector, name string, err error) error {
	if !errors.Is(err, executor.ErrQueueNotFound) {
		return err
	}
	queues, failed := o.Queues(ctx)
	if failed != nil {
		return err
	}
	return fmt.Errorf("%w: %s", err, nearest.Suggest(name, cli.Names(queues, func(q inspect.Queue) string { return q.Name })))
}
