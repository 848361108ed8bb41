package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/columns"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
)

const whereUsage = "where [FLAGS] SOURCE OFFSET"

func whereVerb() *urfave.Command {
	return &urfave.Command{
		Name: "where", Usage: "say where an item is, by its source and its offset there",
		UsageText: "dqbridge " + whereUsage, ArgsUsage: "SOURCE OFFSET", Flags: common(cli.WatchFlags()...),
		Description: "dqbridge sources lists the sources, and the first item has the offset 0. An item that was copied has several rows.",
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 2, whereUsage); err != nil {
				return err
			}
			offset, err := strconv.ParseInt(c.Args().Get(1), 10, 64)
			if err != nil || offset < 0 {
				return cli.Usagef("where: %q is no offset: give a number from 0 on: dqbridge %s", c.Args().Get(1), whereUsage)
			}
			return observe(c, func(o executor.Inspector) error { return where(c, o, c.Args().First(), offset) })
		},
	}
}

// where prints the locations of an item. Its error is that of a missing queue if there is no such source.
func where(c *urfave.Context, o executor.Inspector, source string, offset int64) error {
	gone := false
	err := cli.Watch(c, func(ctx context.Context) ([]inspect.Location, []cli.Column[inspect.Location], error) {
		locations, err := o.Where(ctx, source, offset)
		gone = slices.ContainsFunc(locations, func(p inspect.Location) bool { return p.State == inspect.Gone })
		return locations, columns.Locations(time.Now()), err
	})
	if gone {
		err = errors.Join(err, fmt.Errorf("source %q: %w", source, cli.ErrSourceNotFound))
	}
	return err
}
