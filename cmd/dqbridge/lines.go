package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// lineFlags returns the flags of run for its input and its output.
func lineFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "null", Aliases: []string{"0"}, DisableDefaultText: true, Usage: "read items that end with NUL bytes, not with newlines"},
		&urfave.BoolFlag{Name: "null-output", DisableDefaultText: true, Usage: "write a NUL byte after each result"},
		&urfave.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print an object for each item: input, output, error and more"},
		&urfave.BoolFlag{Name: "tag", DisableDefaultText: true, Usage: "write the item and a tab before each line of its result"},
		&urfave.BoolFlag{Name: "unordered", DisableDefaultText: true, Usage: "write results as they arrive"},
		&urfave.StringFlag{Name: "halt", Usage: "end early; `WHEN` is now or soon, a comma, and fail, success or done with =N or =N%, such as soon,fail=3"},
		&urfave.BoolFlag{Name: "shuf", DisableDefaultText: true, Usage: "read all items first and process them in a random order"},
		&urfave.StringFlag{Name: "delay", Usage: "wait `TIME` between the starts of two commands"},
		&urfave.BoolFlag{Name: "csv", DisableDefaultText: true, Usage: "read stdin as CSV: a record is an item of a command, {1} is its first column"},
		&urfave.StringFlag{Name: "colsep", Aliases: []string{"C"}, Usage: "split each line into columns at `REGEXP`; with --csv, the separator, one character"},
		&urfave.StringFlag{Name: "header", Usage: "with `:`, the first line has the names of the columns, for {NAME}"},
		&urfave.BoolFlag{Name: string(cli.Bar), DisableDefaultText: true, Usage: "show a progress bar on the terminal"},
		&urfave.BoolFlag{Name: string(cli.ETA), DisableDefaultText: true, Usage: "show the remaining time on the terminal"},
		&urfave.BoolFlag{Name: string(cli.Fraction), DisableDefaultText: true, Usage: "show the done items and the total on the terminal"},
		&urfave.IntFlag{Name: "max-args", Aliases: []string{"n", "N"}, Usage: "give each command `N` items", DefaultText: "1"},
	}
}

// lineOptions are the values of lineFlags.
type lineOptions struct {
	end        byte // ends an item of stdin
	perJob     int  // items of a job
	style      cli.Style
	unordered  bool
	keepValues bool // the output needs the values beside the results
	halt       jobs.Halt
	source     *cli.Source
	look       cli.Look
	table      jobs.Table
	shuffle    bool
}

// parseJobLines reads lineFlags for a run of a command.
func parseJobLines(c *urfave.Context) (lineOptions, error) {
	o, err := parseLines(c)
	o.keepValues, o.style.Jobs = true, true
	return o, err
}

// parseFunctionLines reads lineFlags for a run of functions. Flags for commands are errors.
func parseFunctionLines(c *urfave.Context) (lineOptions, error) {
	o, err := parseLines(c)
	switch {
	case err != nil:
		return o, err
	case o.table.Columns():
		return o, cli.Usagef("--csv, --colsep and --header are for a command after --: a function gets a line as it is")
	case c.IsSet("delay"):
		return o, cli.Usagef("--delay is for a command after --")
	case o.perJob > 1:
		return o, cli.Usagef("--max-args is for a command after --: a function gets one item at a time")
	}
	return o, nil
}

// parseLines reads the values of lineFlags.
func parseLines(c *urfave.Context) (lineOptions, error) {
	o := lineOptions{
		end: '\n', perJob: 1, unordered: c.Bool("unordered"), keepValues: needsValues(c),
		shuffle: c.Bool("shuf"), source: cli.NewSource(c.App.Reader),
		style: cli.Style{JSON: c.Bool("json"), Tag: c.Bool("tag")},
	}
	if err := cli.Positive(c, "max-args"); err != nil {
		return o, err
	}
	if c.IsSet("max-args") {
		o.perJob = c.Int("max-args")
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
	newTable := jobs.NewTable
	if c.Bool("csv") {
		newTable = jobs.NewCSVTable
	}
	if o.table, err = newTable(c.String("colsep"), c.String("header")); err != nil {
		return o, cli.AsUsage(err)
	}
	o.style.Quiet = c.IsSet("results")
	if o.style.JSON && (o.style.Tag || o.style.End != "") {
		return o, cli.Usagef("--json is a format of its own: leave out --tag and --null-output")
	}
	return o, nil
}

// needsValues reports whether the output of functions needs the values or the numbers of items.
func needsValues(c *urfave.Context) bool {
	return c.Bool("json") || c.Bool("tag") || c.IsSet("failed") || c.IsSet("results") ||
		c.Bool("shuf") || c.Bool("resume") || c.Bool("resume-failed") || c.IsSet("joblog")
}

// checkCounted reports whether a line may have no result or several ones. It returns a Usage error if a
// flag of the run needs one result for each line.
func (o lineOptions) checkCounted(c *urfave.Context, functions []inspect.Function) (counted bool, err error) {
	at := slices.IndexFunc(functions, func(f inspect.Function) bool { return f.Filter || f.FlatMap })
	if at < 0 {
		return false, nil
	}
	for _, flag := range []string{"json", "tag", "failed", "results", "shuf", "resume", "resume-failed", "joblog"} {
		if c.IsSet(flag) {
			return true, cli.Usagef("--%s needs one result for each line, and %s may have none or several: leave one of the two out", flag, functions[at].Name)
		}
	}
	return true, nil
}

// A jobInput is the input of run as jobs.
type jobInput struct {
	names []string // column names
	head  string   // the line with the names
	total int64    // number of jobs; 0: unknown
	jobs  iter.Seq2[jobs.Job, error]
}

// read begins to read the input: the lists of the command line, or stdin if there is no list. It
// reads the whole input for --shuf and for a percentage of --halt.
func (o lineOptions) read(lists [][]string) (in jobInput, err error) {
	rows := jobs.Combine(lists)
	switch {
	case len(lists) > 0 && o.table.Columns():
		return in, cli.Usagef("--csv, --colsep and --header are for stdin, not for the lists after :::")
	case len(lists) == 0:
		if in.names, in.head, rows, err = o.table.Open(o.source, cli.Lines(o.source, o.end)); err != nil {
			return in, fmt.Errorf("read stdin: %w", err)
		}
	}
	in.jobs = jobs.Read(rows, o.perJob)
	switch {
	case o.shuffle:
		in.total, in.jobs = jobs.ReadAll(in.jobs, jobs.Shuffle)
	case o.halt.Percent > 0:
		in.total, in.jobs = jobs.ReadAll(in.jobs, jobs.Keep)
	}
	return in, nil
}

// A runInput sends the input of run, and keeps the values that the output needs.
type runInput struct {
	*cli.Input
	ledger  *jobs.Ledger  // of all values; nil: none
	recent  *cli.Recent   // the latest values, without a ledger
	breaker *jobs.Breaker // nil: none
}

// feedLines sends lines to functions.
func (o lineOptions) feedLines(c *urfave.Context, files *runFiles) (runInput, error) {
	if !o.keepValues && o.halt == (jobs.Halt{}) {
		recent := new(cli.Recent)
		return runInput{Input: cli.Feed(c.Context, nil, o.source, recent, cli.Items(cli.Lines(o.source, o.end))), recent: recent}, nil
	}
	read, err := o.read(nil)
	if err != nil {
		return runInput{}, err
	}
	breaker := jobs.NewBreaker(o.halt, read.total)
	in := o.feedJobs(c.Context, breaker.Halted(), files.remaining(read.jobs), func(job jobs.Job) codec.Item { return codec.Item(job.Args[0]) })
	in.breaker = breaker
	return in, nil
}

// feedJobs sends encoded jobs.
func (o lineOptions) feedJobs(ctx context.Context, stop <-chan struct{}, all iter.Seq2[jobs.Job, error], encode func(jobs.Job) codec.Item) runInput {
	var in runInput
	if o.keepValues {
		in.ledger = jobs.NewLedger(ctx)
	} else {
		in.recent = new(cli.Recent)
	}
	in.Input = cli.Feed(ctx, stop, o.source, in.recent, func(yield func(codec.Item, error) bool) {
		number := int64(0)
		for job, err := range all {
			if err != nil {
				yield(nil, err)
				return
			}
			if number++; in.ledger != nil {
				in.ledger.Add(number, job)
			}
			if !yield(encode(job), nil) {
				return
			}
		}
	})
	return in
}

// gatherOptions returns the options of the gather.
func (o lineOptions) gatherOptions() []bridge.GatherOption {
	if o.unordered {
		return []bridge.GatherOption{bridge.Unordered()}
	}
	return nil
}
