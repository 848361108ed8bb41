package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

func errorsFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "errors", Value: string(cli.Skip), Usage: "choose the output of a failed item; `POLICY` is " +
		"skip (no line), inline (the error in its place) or stop (the output ends)"}
}

func runVerb() *urfave.Command {
	return &urfave.Command{
		Name: "run", Usage: "send the lines of stdin through functions to stdout, in order, or run a command for each line",
		UsageText: "dqbridge run [FLAGS] FN...\ndqbridge run [FLAGS] -- COMMAND...", ArgsUsage: "FN...", Action: run,
		Description: "A line is an item. If the first function takes strings, the line is the string. Otherwise the line is JSON.\n" +
			"The words of a COMMAND are joined with spaces and run by sh for each item. The quoted item replaces {}; a command\n" +
			"without a placeholder gets it at the end. {.} is the item without its extension, {/} its base name, {//} its directory,\n" +
			"{/.} its base name without the extension, {#} its number, {%} the number of a slot. ::: and a list of items replace stdin.\n" +
			"With a COMMAND, the exit status is the number of failed items, 101 for more than 100, and 255 for another error.",
		Flags: common(append(slices.Concat(lineFlags(), fileFlags(), cli.BatchFlags(), limitFlags()), errorsFlag(), cli.FnFlag(), cli.ChildFlag(),
			&urfave.IntFlag{Name: "concurrency", Aliases: []string{"j"}, Usage: "run `N` items at once in this process",
				DefaultText: "4; for a command the number of processors"},
			&urfave.StringFlag{Name: "timeout", Usage: "fail an item whose function or command takes longer than `TIME`, such as 10s", DefaultText: "none"},
			&urfave.IntFlag{Name: "retries", Usage: "try a failed item up to `N` more times"},
			&urfave.IntFlag{Name: "max-in-flight", Usage: "read at most `N` lines ahead of stdout", DefaultText: "262144"},
			&urfave.BoolFlag{Name: "dashboard", DisableDefaultText: true, Usage: "serve the pages of dqbridge dashboard at --listen while the command runs"},
			&urfave.StringFlag{Name: "listen", Value: defaultListen, Usage: "with --dashboard: serve at `ADDRESS`, of the loopback only"})...),
	}
}

func run(c *urfave.Context) error {
	if err := cli.Positive(c, "concurrency", "max-in-flight"); err != nil {
		return err
	}
	functions, words, command := splitWords(c.Args().Slice())
	switch {
	case fromJoblog(c) && len(functions) > 0:
		return cli.Usagef("--retry-failed takes the commands of the joblog: leave out %q", functions[0])
	case command && len(functions) > 0:
		return cli.Usagef("run takes functions or a command, not both: %q is before the --", functions[0])
	case (command || fromJoblog(c)) && (c.IsSet("batch") || c.IsSet("block")):
		return cli.Usagef("--batch and --block are for functions of pipe:, not for a command after --")
	case (command || fromJoblog(c)) && (c.IsSet("limit") || c.IsSet("max")):
		return cli.Usagef("--limit and --max are for functions, not for a command after --")
	case command || fromJoblog(c):
		c.App.Metadata = map[string]any{cli.AsParallel: true}
		return runCommand(c, words)
	}
	return runFunctions(c)
}

func runFunctions(c *urfave.Context) error {
	errors, err := cli.ParseErrors(c.String("errors"))
	if err != nil {
		return err
	}
	if c.NArg() == 0 {
		return cli.Usagef("which function or command? dqbridge run [FLAGS] FN... (dqbridge functions lists them), " +
			"or dqbridge run [FLAGS] -- COMMAND...")
	}
	lines, err := parseFunctionLines(c)
	if err != nil {
		return err
	}
	stage, err := stageOptions(c)
	if err != nil {
		return err
	}
	limited, err := limitOptions(c)
	if err != nil {
		return err
	}
	console := cli.NewConsole(c.App.ErrWriter)
	set, own, err := cli.Commands(c, console)
	if err != nil {
		return err
	}
	defer set.Close()
	if c.String("redis") == "" { // only this process can use the embedded broker
		var stop func()
		c.Context, stop = cli.UntilBroken(c, set)
		defer stop()
		own = cli.WithBuiltins(own)
		known := cli.Names(own, workers.Function.Name)
		if err := cli.CheckKnown(c.Args().Slice(), known); err != nil {
			return err
		}
	}
	optionsOf := func(function string) []executor.MapOption { return slices.Concat(stage, limited[function]) }
	return withFiles(c, lines, console, jobInput{}, func(files *runFiles) error {
		return with(c, console, func(ex *executor.Executor) error {
			if len(own) > 0 {
				if err := ex.Register(own...); err != nil {
					return cli.AsUsage(err)
				}
			}
			return withDashboard(c, ex, console, func() error { return pipeline(c, ex, console, errors, lines, files, optionsOf) })
		}, executor.Concurrency(concurrency(c, 4)))
	})
}

// concurrency returns the value of --concurrency, or otherwise if the flag is not given.
func concurrency(c *urfave.Context, otherwise int) int {
	if c.IsSet("concurrency") {
		return c.Int("concurrency")
	}
	return otherwise
}

// stageOptions returns the options of --timeout and --retries.
func stageOptions(c *urfave.Context) (opts []executor.MapOption, err error) {
	timeout, retries, err := limits(c)
	if timeout > 0 {
		opts = append(opts, executor.Timeout(timeout))
	}
	if c.IsSet("retries") {
		opts = append(opts, executor.Retries(retries))
	}
	return opts, err
}

// limits returns the values of --timeout and --retries.
func limits(c *urfave.Context) (timeout time.Duration, retries int, err error) {
	if timeout, err = cli.Duration(c, "timeout"); err != nil {
		return 0, 0, err
	}
	if retries = c.Int("retries"); retries < 0 {
		return 0, 0, cli.Usagef("--retries %d: it must be at least 0", retries)
	}
	return timeout, retries, nil
}

// pipeline sends the lines of stdin through the functions and prints the results.
func pipeline(c *urfave.Context, ex *executor.Executor, console *cli.Console, errors cli.ErrorPolicy, lines lineOptions, files *runFiles,
	optionsOf func(function string) []executor.MapOption,
) error {
	infos, err := awaitFunctions(c.Context, ex, console, c.Args().Slice())
	if err != nil {
		return err
	}
	if err := cli.CheckText(infos[0].Name, infos[0].In, infos[0].InCodec); err != nil {
		return err
	}
	last := infos[len(infos)-1]
	if err := cli.CheckText(last.Name, last.Out, last.OutCodec); err != nil {
		return err
	}
	counted, err := lines.checkCounted(c, infos)
	if err != nil {
		return err
	}
	lines.style.InJSON, lines.style.OutJSON = infos[0].InCodec == "json", last.OutCodec == "json"
	input, err := lines.feedLines(c, files)
	if err != nil {
		return err
	}
	q, err := bridge.ScatterSlices(c.Context, ex, input.Items, scatterOptions(c)...)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if q, err = stageOf(c.Context, info, q, optionsOf(info.Name)...); err != nil {
			return err
		}
	}
	records := &cli.FunctionRecords{
		Single: true, Ledger: input.ledger, Recent: input.recent, Functions: strings.Join(c.Args().Slice(), " "),
	}
	if !c.IsSet("retries") {
		records.Attempts = 1
	}
	p := cli.Printer{
		Console: console, Errors: errors, Progress: &cli.Progress{Look: lines.look, Input: input.Input}, Records: records, Style: lines.style, Logs: files.logs,
		Breaker: input.breaker, Counted: counted,
	}
	if err = show(c, q, p, lines.gatherOptions()...); input.breaker != nil {
		err = cli.AsHalted(input.breaker, err)
	}
	if err != nil {
		return err
	}
	return input.Err()
}

// stageOf makes a stage of a function of the fleet over a queue.
func stageOf(ctx context.Context, f inspect.Function, q *executor.Queue[codec.Item], opts ...executor.MapOption) (*executor.Queue[codec.Item], error) {
	switch {
	case f.Filter:
		return flow.Filter(ctx, workers.RemoteFilter[codec.Item](f.Name), q, opts...)
	case f.FlatMap:
		return flow.FlatMap(ctx, workers.RemoteFlatMap[codec.Item, codec.Item](f.Name), q, opts...)
	}
	return executor.Map(ctx, workers.Remote[codec.Item, codec.Item](f.Name), q, opts...)
}

// show prints the results of a queue. After a signal, it acknowledges the written lines before the
// gather ends.
func show(c *urfave.Context, q *executor.Queue[codec.Item], p cli.Printer, opts ...bridge.GatherOption) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context))
	defer cancel()
	stop := context.AfterFunc(c.Context, cancel)
	results, err := bridge.GatherSlices(ctx, q, opts...)
	if stopped := !stop(); stopped && err != nil {
		return context.Cause(c.Context)
	}
	if err != nil {
		return err
	}
	p.Out, p.Name, p.Each = c.App.Writer, c.App.Name, c.Bool("verbose")
	switch {
	case cli.ShowsStatus(c.App.ErrWriter):
	case c.Bool("verbose"):
		p.Progress.Every = cli.LogPace
	default:
		p.Progress = nil
	}
	return p.Print(c.Context, results)
}

// awaitFunctions returns the functions of the live workers with these names. It waits until there
// is one for each name.
func awaitFunctions(ctx context.Context, ex *executor.Executor, console *cli.Console, names []string) ([]inspect.Function, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	warned := false
	for {
		found, missing, err := find(ctx, ex, names)
		if err != nil || len(missing) == 0 {
			return found, err
		}
		if !warned {
			warned = true
			_, _ = fmt.Fprintf(console, "dqbridge: no live worker has %s yet, waiting: start a dqworker with it\n", strings.Join(missing, ", "))
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// find returns the functions of the live workers with these names, and the names that no worker
// has.
func find(ctx context.Context, ex *executor.Executor, names []string) (found []inspect.Function, missing []string, err error) {
	infos, err := ex.Functions(ctx)
	if err != nil {
		return nil, nil, err
	}
	by := map[string]inspect.Function{}
	for _, info := range infos { // if versions differ, take the types that most workers have
		if by[info.Name].Workers < info.Workers {
			by[info.Name] = info
		}
	}
	for _, name := range names {
		if info, ok := by[name]; ok {
			found = append(found, info)
		} else {
			missing = append(missing, name)
		}
	}
	return found, missing, nil
}
