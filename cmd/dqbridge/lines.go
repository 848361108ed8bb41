package main

import (
	"context"
	"fmt"
	"iter"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// lineFlags are those of run about its input and its output.
func lineFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "null", Aliases: []string{"0"}, DisableDefaultText: true, Usage: "end the items of stdin by NUL bytes, not by newlines"},
		&urfave.BoolFlag{Name: "null-output", DisableDefaultText: true, Usage: "write a NUL byte behind each result"},
		&urfave.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print an object for each item: input, output, error and more"},
		&urfave.BoolFlag{Name: "tag", DisableDefaultText: true, Usage: "write the item and a tab before each line of its result"},
		&urfave.BoolFlag{Name: "unordered", DisableDefaultText: true, Usage: "write results as they come"},
		&urfave.StringFlag{Name: "halt", Usage: "end early: `WHEN` is now or soon, and fail, success or done with =N or =N%, such as soon,fail=3"},
		&urfave.BoolFlag{Name: "shuf", DisableDefaultText: true, Usage: "read all items before the first and take them in a random order"},
		&urfave.StringFlag{Name: "delay", Usage: "wait `TIME` between the starts of two commands"},
		&urfave.BoolFlag{Name: "csv", DisableDefaultText: true, Usage: "read stdin as CSV: a record is an item of a command, {1} its first column"},
		&urfave.StringFlag{Name: "colsep", Aliases: []string{"C"}, Usage: "split each line into columns at `REGEXP`; of CSV the character between them"},
		&urfave.StringFlag{Name: "header", Usage: "`:` makes names of columns of the first line: {NAME}"},
		&urfave.BoolFlag{Name: string(cli.Bar), DisableDefaultText: true, Usage: "show a bar on the terminal"},
		&urfave.BoolFlag{Name: string(cli.ETA), DisableDefaultText: true, Usage: "show the time that is left on the terminal"},
		&urfave.BoolFlag{Name: string(cli.Fraction), DisableDefaultText: true, Usage: "show how much of all is done on the terminal"},
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
	halt      jobs.Halt
	source    *cli.Source
	look      cli.Look
	table     jobs.Table
	shuffle   bool
}

func parseLines(c *urfave.Context, command bool) (lineOptions, error) {
	o := lineOptions{
		end: '\n', per: 1, unordered: c.Bool("unordered"), keep: needsValues(c, command),
		shuffle: c.Bool("shuf"), source: cli.NewSource(c.App.Reader),
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
	for _, look := range []cli.Look{cli.Fraction, cli.ETA, cli.Bar} {
		if c.Bool(string(look)) {
			o.look = look
		}
	}
	var err error
	if o.halt, err = jobs.ParseHalt(c.String("halt")); err != nil {
		return o, cli.Usagef("--halt %v", err)
	}
	if o.table, err = jobs.NewTable(c.Bool("csv"), c.String("colsep"), c.String("header")); err != nil {
		return o, cli.AsUsage(err)
	}
	o.style.Quiet = c.IsSet("results")
	switch {
	case o.table.Columns() && !command:
		return o, cli.Usagef("--csv, --colsep and --header are for a command behind --: a function gets a line as it is")
	case c.IsSet("delay") && !command:
		return o, cli.Usagef("--delay is for a command behind --")
	case o.style.JSON && (o.style.Tag || o.style.End != ""):
		return o, cli.Usagef("--json is a format of its own: leave out --tag and --null-output")
	case o.per > 1 && !command:
		return o, cli.Usagef("--max-args is for a command behind --: a function gets one item at a time")
	}
	return o, nil
}

// needsValues reports whether the output needs the values or the numbers of items.
func needsValues(c *urfave.Context, command bool) bool {
	return c.Bool("json") || c.Bool("tag") || c.IsSet("failed") || c.IsSet("results") ||
		c.Bool("shuf") || c.Bool("resume") || c.Bool("resume-failed") || c.IsSet("joblog") || command
}

// A reading is the input of run as jobs.
type reading struct {
	names []string // of columns
	head  string   // the line that has them
	total int64    // 0: not known
	jobs  iter.Seq2[jobs.Job, error]
}

// read begins to read the input: lists of the command line, or else stdin. It reads all of it if that is needed.
func (o lineOptions) read(lists [][]string) (in reading, err error) {
	rows := jobs.Combine(lists)
	switch {
	case len(lists) > 0 && o.table.Columns():
		return in, cli.Usagef("--csv, --colsep and --header are for stdin, not for the lists behind :::")
	case len(lists) == 0:
		if in.names, in.head, rows, err = o.table.Open(o.source, cli.Lines(o.source, o.end)); err != nil {
			return in, fmt.Errorf("read stdin: %w", err)
		}
	}
	in.jobs = jobs.Read(rows, o.per)
	switch {
	case o.shuffle:
		in.total, in.jobs = jobs.ReadAll(in.jobs, jobs.Shuffle)
	case o.halt.Percent > 0:
		in.total, in.jobs = jobs.ReadAll(in.jobs, jobs.Keep)
	}
	return in, nil
}

// An inlet is the input of run on its way, and the values that the output needs.
type inlet struct {
	*cli.Input
	ledger  *jobs.Ledger  // of all values; nil: none
	recent  *cli.Recent   // the last values, where there is no ledger
	breaker *jobs.Breaker // nil: none
}

// plain feeds items as they are, to functions.
func (o lineOptions) plain(c *urfave.Context, files *runFiles) (inlet, error) {
	if !o.keep && o.halt == (jobs.Halt{}) {
		recent := new(cli.Recent)
		return inlet{Input: cli.Feed(c.Context, nil, o.source, recent, cli.Items(cli.Lines(o.source, o.end))), recent: recent}, nil
	}
	read, err := o.read(nil)
	if err != nil {
		return inlet{}, err
	}
	breaker := jobs.NewBreaker(o.halt, read.total)
	in := o.feed(c.Context, breaker.Halted(), files.left(read.jobs), func(job jobs.Job) codec.Item { return codec.Item(job.Args[0]) })
	in.breaker = breaker
	return in, nil
}

// feed feeds jobs.
func (o lineOptions) feed(ctx context.Context, stop <-chan struct{}, all iter.Seq2[jobs.Job, error], encode func(jobs.Job) codec.Item) inlet {
	var in inlet
	if o.keep {
		in.ledger = jobs.NewLedger(ctx)
	} else {
		in.recent = new(cli.Recent)
	}
	in.Input = cli.Feed(ctx, stop, o.source, in.recent, func(yield func(codec.Item, error) bool) {
		place := int64(0)
		for job, err := range all {
			if err != nil {
				yield(nil, err)
				return
			}
			if place++; in.ledger != nil {
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
