package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/nearest"
	"github.com/dqbridge/dqbridge/executor"
)

const deadUsage = "dead list | show ID... | retry ID... | drop ID..."

func deadVerb() *urfave.Command {
	return &urfave.Command{
		Name: "dead", Usage: "list, show, retry or drop dead letters: items that no worker could process",
		UsageText: "dqbridge " + deadUsage, ArgsUsage: "list | show | retry | drop",
		Description: "list prints a table. show prints the items, a line for each. retry adds the items to the end of their queue again.\n" +
			"drop deletes the dead letters. With --all, show, retry and drop take all dead letters. After an error they continue\n" +
			"with the next one.",
		Flags: common(cli.JSONFlag(), &urfave.BoolFlag{Name: "all", DisableDefaultText: true, Usage: "show, retry or drop all dead letters"}),
		Action: func(c *urfave.Context) error {
			act, ok := deadActs[c.Args().First()]
			if !ok {
				return cli.Usagef("dead %q: %s: dqbridge %s", c.Args().First(), nearest.Suggest(c.Args().First(), []string{"list", "show", "retry", "drop"}), deadUsage)
			}
			switch list := c.Args().First() == "list"; {
			case list && (c.NArg() > 1 || c.Bool("all")):
				return cli.Usagef("dead list takes neither ids nor --all: dqbridge %s", deadUsage)
			case !list && c.Bool("all") == (c.NArg() > 1):
				return cli.Usagef("dead %s takes ids, or --all: dqbridge %s", c.Args().First(), deadUsage)
			}
			return shared(c, c.NArg(), deadUsage, func(ex *executor.Executor) error { return act(c, ex) })
		},
	}
}

var deadActs = map[string]func(*urfave.Context, *executor.Executor) error{
	"list":  listDead,
	"show":  func(c *urfave.Context, ex *executor.Executor) error { return eachDead(c, ex, showDead(c, ex)) },
	"retry": func(c *urfave.Context, ex *executor.Executor) error { return eachDead(c, ex, ex.RetryDeadLetter) },
	"drop":  func(c *urfave.Context, ex *executor.Executor) error { return eachDead(c, ex, ex.DeleteDeadLetter) },
}

func listDead(c *urfave.Context, ex *executor.Executor) error {
	type column = cli.Column[executor.DeadLetter]
	var letters []executor.DeadLetter
	for d, err := range ex.DeadLetters(c.Context) {
		if err != nil {
			return err
		}
		letters = append(letters, d)
	}
	return cli.List(c, letters,
		column{Head: "ID", Cell: func(d executor.DeadLetter) any { return d.ID }},
		column{Head: "WHEN", Cell: func(d executor.DeadLetter) any { return d.At.Format(time.RFC3339) }},
		column{Head: "QUEUE", Cell: func(d executor.DeadLetter) any { return d.Queue }},
		column{Head: "SOURCE", Cell: func(d executor.DeadLetter) any { return d.Source }},
		column{Head: "OFFSET", Cell: func(d executor.DeadLetter) any { return d.Offset }},
		column{Head: "ITEMS", Cell: func(d executor.DeadLetter) any { return d.Items }},
		column{Head: "CRASHES", Cell: func(d executor.DeadLetter) any { return d.Crashes }},
		column{Head: "WHY", Cell: func(d executor.DeadLetter) any { return d.Why.Error() }})
}

// showDead prints the items of a dead letter.
func showDead(c *urfave.Context, ex *executor.Executor) func(context.Context, string) error {
	return func(ctx context.Context, id string) error {
		items, err := ex.DeadLetterItems(ctx, id)
		if err != nil {
			return err
		}
		for _, item := range items {
			if _, err := fmt.Fprintf(c.App.Writer, "%s\n", item); err != nil {
				return cli.AsOutput(err)
			}
		}
		return nil
	}
}

// eachDead calls do for each of the given dead letters, or for all of them with --all. After an
// error it continues with the next one.
func eachDead(c *urfave.Context, ex *executor.Executor, do func(context.Context, string) error) error {
	ids := slices.Clone(c.Args().Slice()[1:])
	if c.Bool("all") {
		for d, err := range ex.DeadLetters(c.Context) {
			if err != nil {
				return err
			}
			ids = append(ids, d.ID)
		}
	}
	var failed error
	for _, id := range ids {
		err := do(c.Context, id)
		if errors.As(err, new(cli.OutputError)) || c.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
