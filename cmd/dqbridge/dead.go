package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/cli"
)

const deadUsage = "dead list | show ID... | retry ID... | drop ID..."

func deadVerb() *urfave.Command {
	return &urfave.Command{
		Name: "dead", Usage: "look after the dead letters: entries that no worker could process",
		UsageText: "dqbridge " + deadUsage, ArgsUsage: "list | show | retry | drop",
		Description: "list names them, show prints their items, a line each, retry sends the items into their queue once more,\n" +
			"at its end, and drop deletes them. With --all, retry and drop take all of them.",
		Flags: common(cli.JSONFlag(), &urfave.BoolFlag{Name: "all", DisableDefaultText: true, Usage: "retry or drop all of them"}),
		Action: func(c *urfave.Context) error {
			act, ok := deadActs[c.Args().First()]
			if !ok {
				return cli.Usagef("dead %q: %s: dqbridge %s", c.Args().First(), cli.Instead(c.Args().First(), []string{"list", "show", "retry", "drop"}), deadUsage)
			}
			if c.Bool("all") == (c.NArg() > 1) && c.Args().First() != "list" {
				return cli.Usagef("dead %s takes ids, or --all: dqbridge %s", c.Args().First(), deadUsage)
			}
			return shared(c, c.NArg(), deadUsage, func(ex *executor.Executor) error { return act(c, ex) })
		},
	}
}

var deadActs = map[string]func(*urfave.Context, *executor.Executor) error{
	"list":  listDead,
	"show":  showDead,
	"retry": func(c *urfave.Context, ex *executor.Executor) error { return eachDead(c, ex, ex.RetryDead) },
	"drop":  func(c *urfave.Context, ex *executor.Executor) error { return eachDead(c, ex, ex.DropDead) },
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

func showDead(c *urfave.Context, ex *executor.Executor) error {
	for _, id := range c.Args().Slice()[1:] {
		items, err := ex.DeadItems(c.Context, id)
		if err != nil {
			return err
		}
		for _, item := range items {
			if _, err := fmt.Fprintf(c.App.Writer, "%s\n", item); err != nil {
				return cli.AsOutput(err)
			}
		}
	}
	return nil
}

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
	for _, id := range ids {
		if err := do(c.Context, id); err != nil {
			return err
		}
	}
	return nil
}
