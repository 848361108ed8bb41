package main

import (
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/peek"
)

const peekUsage = "peek [FLAGS] QUEUE"

func peekVerb() *urfave.Command {
	return &urfave.Command{
		Name: "peek", Usage: "show items of a queue without taking them", UsageText: "dqbridge " + peekUsage, ArgsUsage: "QUEUE",
		Description: "First come the items that wait or that a worker or a gather has read, then requeued, suspect and delayed ones. An item is\n" +
			"shown up to 4 KiB. With --grep it looks at the first 10,000 items.",
		Flags: common(append(cli.ListFlags(),
			&urfave.IntFlag{Name: "count", Aliases: []string{"n"}, Value: 20, Usage: "show at most `N` items"},
			&urfave.StringFlag{Name: "grep", Usage: "show items that contain `TEXT`", DefaultText: "all"},
			&urfave.StringFlag{Name: "from", Usage: "begin at a `POSITION`, as --wide and --json show it", DefaultText: "the start"})...),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 1, peekUsage); err != nil {
				return err
			}
			if c.Int("count") < 1 || c.Int("count") > peek.Searched {
				return cli.Usagef("--count %d: give a number from 1 to %d", c.Int("count"), peek.Searched)
			}
			return observe(c, func(o executor.Inspector) error { return printItems(c, o) })
		},
	}
}

// printItems prints items, and says on stderr how to see further ones.
func printItems(c *urfave.Context, o executor.Inspector) error {
	type column = cli.Column[inspect.Item]
	items, next, err := peek.Items(c.Context, o, c.Args().First(), c.String("from"), c.String("grep"), c.Int("count"))
	if err != nil {
		return err
	}
	now := time.Now()
	err = cli.List(c, items,
		column{Head: "STATE", Cell: func(i inspect.Item) any { return i.State }},
		column{Head: "SOURCE", Cell: func(i inspect.Item) any { return i.Source }},
		column{Head: "OFFSET", Cell: func(i inspect.Item) any { return i.Offset }},
		column{Head: "SINCE", Cell: func(i inspect.Item) any { return cli.Since(now, i.Since) }},
		column{Head: "BYTES", Cell: func(i inspect.Item) any { return i.Bytes }},
		column{Head: "POSITION", Wide: true, Cell: func(i inspect.Item) any { return i.Position }},
		column{Head: "ATTEMPTS", Wide: true, Cell: func(i inspect.Item) any { return i.Attempts }},
		column{Head: "CRASHES", Wide: true, Cell: func(i inspect.Item) any { return i.Crashes }},
		column{Head: "FORM", Wide: true, Cell: func(i inspect.Item) any { return i.Form }},
		column{Head: "ITEM", Cell: func(i inspect.Item) any { return i.Text }})
	if err == nil && next != "" && !c.Bool("json") {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "there are more items: --from %s\n", next)
	}
	return err
}
