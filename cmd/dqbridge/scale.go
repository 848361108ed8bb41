package main

import (
	"context"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/scale"
)

func scaleVerb() *urfave.Command {
	return &urfave.Command{
		Name: "scale", Usage: "say how many workers a pool should have", UsageText: "dqbridge scale [FLAGS]",
		Description: "A pool is the workers that have the same functions. The number is enough to keep up with the items that arrive, and to\n" +
			"finish those that wait within the target. With --watch it also follows how the arrivals change.",
		Flags: common(append(cli.RepeatFlags(), cli.JSONFlag(),
			&urfave.StringFlag{Name: "functions", Usage: "the `FUNCTIONS` of the workers, with commas between them", DefaultText: "all"},
			&urfave.IntFlag{Name: "slots", Usage: "`N` slots of a worker", DefaultText: "as the present workers"},
			&urfave.DurationFlag{Name: "target", Value: scale.DefaultTarget, Usage: "finish an item within this `TIME`"},
			&urfave.Float64Flag{Name: "utilisation", Value: scale.DefaultUtilisation, Usage: "let items that arrive steadily use this `PART` of the slots"},
			&urfave.IntFlag{Name: "min", Usage: "at least `N` workers"},
			&urfave.IntFlag{Name: "max", Usage: "at most `N` workers", DefaultText: "any number"},
			&urfave.DurationFlag{Name: "idle", Value: scale.DefaultIdle, Usage: "end the last worker after this `TIME` without items"})...),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, "scale"); err != nil {
				return err
			}
			o := scale.Options{
				Functions: strings.FieldsFunc(c.String("functions"), func(r rune) bool { return r == ',' }), Slots: c.Int("slots"), Target: c.Duration("target"), Utilisation: c.Float64("utilisation"),
				Min: c.Int("min"), Max: c.Int("max"), Idle: c.Duration("idle"),
			}
			if err := o.Check(); err != nil {
				return cli.Usagef("scale: %v", err)
			}
			return observe(c, func(i executor.Inspector) error { return printScale(c, i, o) })
		},
	}
}

// printScale prints the number of workers; with --watch again and again, also while Redis is away.
func printScale(c *urfave.Context, i executor.Inspector, o scale.Options) error {
	var last scale.Decision
	look := looks(c, i)
	return cli.Watch(c, func(ctx context.Context) ([]scale.Decision, []cli.Column[scale.Decision], error) {
		v, err := look(ctx)
		if err != nil && (last.At.IsZero() || ctx.Err() != nil) {
			return nil, nil, err
		}
		v.Err = err
		last = scale.Decide(v, o, last)
		return []scale.Decision{last}, scaleColumns(), nil
	})
}

func scaleColumns() []cli.Column[scale.Decision] {
	return []cli.Column[scale.Decision]{
		{Head: "WORKERS", Cell: func(d scale.Decision) any { return d.Workers }},
		{Head: "LIVE", Cell: func(d scale.Decision) any { return d.Live }},
		{Head: "SLOTS", Cell: func(d scale.Decision) any { return fmt.Sprintf("%.1f", d.Slots) }},
		{Head: "BACKLOG", Cell: func(d scale.Decision) any { return d.Backlog }},
		{Head: "OLDEST", Cell: func(d scale.Decision) any { return cli.Age(d.Oldest) }},
		{Head: "LIMITED BY", Cell: func(d scale.Decision) any { return d.LimitedBy }},
		{Head: "WHY", Cell: func(d scale.Decision) any { return d.Why }},
	}
}
