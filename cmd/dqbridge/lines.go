package main

import (
	"context"
	"iter"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/internal/cli"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/jobs"
)

// lineFlags are those of run about its input and its output.
func lineFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "null", Aliases: []string{"0"}, DisableDefaultText: true, Usage: "end the items of stdin by NUL bytes, not by newlines"},
		&urfave.BoolFlag{Name: "null-output", DisableDefaultText: true, Usage: "write a NUL byte behind each result"},
		&urfave.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print an object for each item: input, output, error and more"},
		&urfave.BoolFlag{Name: "tag", DisableDefaultText: true, Usage: "write the item and a tab before each line of its result"},
		&urfave.BoolFlag{Name: "unordered", DisableDefaultText: true, Usage: "write results as they come"},
		&urfave.IntFlag{Name: "max-args", Aliases: []string{"n", "N"}, Usage: "give a command `N` items at once", DefaultText: "1"},
	}
}

// lineOptions are the values of lineFlags.
type lineOptions struct {
	end       byte // of an item of stdin
	per       int  // items for a job
	style     cli.Style
	unordered bool
	keep      bool // values are needed beside results
}

func parseLines(c *urfave.Context, command bool) (lineOptions, error) {
	o := lineOptions{
		end: '\n', per: 1, unordered: c.Bool("unordered"), keep: needsValues(c, command),
		style: cli.Style{JSON: c.Bool("json"), Tag: c.Bool("tag"), Jobs: command},
	}
	if err := cli.Positive(c, "max-args"); err != nil {
		return o, err
	}
	if c.IsSet("max-args") {
		o.per = c.Int("max-args")
	}
	if c.Bool("null") {
		o.end = 0
	}
	if c.Bool("null-output") {
		o.style.End = "\x00"
	}
	switch {
	case o.style.JSON && (o.style.Tag || o.style.End != ""):
		return o, cli.Usagef("--json is a format of its own: leave out --tag and --null-output")
	case o.per > 1 && !command:
		return o, cli.Usagef("--max-args is for a command behind --: a function gets one item at a time")
	case o.unordered && o.keep && !command:
		return o, cli.Usagef("--unordered of functions knows no input of a result: leave it out, or the flag that shows inputs or numbers")
	}
	return o, nil
}

// needsValues reports whether the output needs the values or the numbers of items.
func needsValues(c *urfave.Context, command bool) bool {
	return c.Bool("json") || c.Bool("tag") || c.IsSet("failed") || c.IsSet("results") ||
		c.Bool("resume") || c.Bool("resume-failed") || c.IsSet("joblog") && !command
}

// jobs reads the input.
func (o lineOptions) jobs(c *urfave.Context) iter.Seq2[jobs.Job, error] {
	return jobs.Read(cli.Lines(c.App.Reader, o.end), o.per)
}

// An inlet is the input of run on its way, and the values that the output needs.
type inlet struct {
	*cli.Input
	ledger *jobs.Ledger // nil: none
}

// plain feeds items as they are.
func (o lineOptions) plain(c *urfave.Context, files *runFiles) inlet {
	if !o.keep {
		return inlet{Input: cli.Feed(c.Context, nil, cli.Plain(cli.Lines(c.App.Reader, o.end)))}
	}
	return o.feed(c.Context, nil, files.left(o.jobs(c)), func(job jobs.Job) codec.Item { return codec.Item(job.Args[0]) })
}

// feed feeds jobs.
func (o lineOptions) feed(ctx context.Context, stop <-chan struct{}, all iter.Seq2[jobs.Job, error], encode func(jobs.Job) codec.Item) inlet {
	var in inlet
	if o.keep {
		in.ledger = jobs.NewLedger(ctx)
	}
	in.Input = cli.Feed(ctx, stop, func(yield func(codec.Item, error) bool) {
		place := int64(0)
		for job, err := range all {
			if err != nil {
				yield(nil, err)
				return
			}
			place++
			switch {
			case in.ledger == nil:
			case o.unordered:
				in.ledger.Add(job.Number, job)
			default:
				in.ledger.Add(place, job)
			}
			if !yield(encode(job), nil) {
				return
			}
		}
	})
	return in
}

// gather are the options of the gather.
func (o lineOptions) gather() []bridge.GatherOption {
	if o.unordered {
		return []bridge.GatherOption{bridge.Unordered()}
	}
	return nil
}
