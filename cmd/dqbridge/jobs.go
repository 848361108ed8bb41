package main

import (
	"crypto/rand"
	"os"
	"runtime"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

// splitWords splits arguments at the "--" before a command.
func splitWords(args []string) (functions, words []string, command bool) {
	at := slices.Index(args, "--")
	if at < 0 {
		return args, nil, false
	}
	return args[:at], args[at+1:], true
}

// splitLists splits words into a command and the lists of items after each ":::".
func splitLists(words []string) (command []string, lists [][]string) {
	parts := make([][]string, 1)
	for _, word := range words {
		if word == ":::" {
			parts = append(parts, nil)
			continue
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], word)
	}
	return parts[0], parts[1:]
}

// runCommand runs a command for each item of stdin, in this process.
func runCommand(c *urfave.Context, words []string) error {
	if fromJoblog(c) && len(words) > 0 {
		return cli.Usagef("--retry-failed takes the commands of the joblog: leave out -- and the command")
	}
	for _, name := range []string{"errors", "fn", "child", "batch", "block"} {
		if c.IsSet(name) {
			return cli.Usagef("--%s is for functions, not for a command after --", name)
		}
	}
	words, lists := splitLists(words)
	lines, err := parseJobLines(c)
	if err != nil {
		return err
	}
	timeout, retries, err := limits(c)
	if err != nil {
		return err
	}
	var in jobInput
	if !fromJoblog(c) {
		if in, err = lines.read(lists); err != nil {
			return err
		}
	}
	lines.style.Names = in.names
	line, err := command.ParseLine(words, in.names)
	if err != nil {
		return cli.AsUsage(err)
	}
	set, err := command.New(nil, cli.Logger(c, c.App.ErrWriter))
	if err != nil {
		return err
	}
	defer set.Close()
	var stop func()
	c.Context, stop = cli.UntilBroken(c, set)
	defer stop()
	delay, err := cli.Duration(c, "delay")
	if err != nil {
		return err
	}
	settings := jobs.Settings{Commands: set, Line: line, Timeout: timeout, Retries: retries, Delay: delay}
	console := cli.NewConsole(c.App.ErrWriter)
	return withFiles(c, lines, console, in, func(files *runFiles) error {
		return with(c, console, func(ex *executor.Executor) error {
			return runJobs(c, ex, console, settings, lines, files, in)
		}, executor.Concurrency(concurrency(c, runtime.NumCPU())))
	})
}

// runJobs sends jobs through a stage whose function only this process has, and prints their
// outcomes.
func runJobs(c *urfave.Context, ex *executor.Executor, console *cli.Console, settings jobs.Settings, lines lineOptions, files *runFiles, in jobInput) error {
	if fromJoblog(c) {
		in.jobs = files.failed()
	}
	settings.Breaker = jobs.NewBreaker(lines.halt, in.total)
	runner := jobs.NewRunner(settings)
	f := workers.Define("run."+rand.Text(), runner.Call)
	if err := ex.Register(f); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	input := lines.feedJobs(c.Context, settings.Breaker.Halted(), files.remaining(in.jobs), func(job jobs.Job) codec.Item { return job.Encode() })
	queue, err := bridge.ScatterSlices(c.Context, ex, input.Items, scatterOptions(c)...)
	if err != nil {
		return err
	}
	out, err := executor.Map(c.Context, workers.Remote[codec.Item, codec.Item](f.Name()), queue)
	if err != nil {
		return err
	}
	p := cli.Printer{
		Console: console, Errors: cli.Skip, Progress: &cli.Progress{Look: lines.look, Input: input.Input}, Style: lines.style, Unit: "job", Logs: files.logs,
		Records: &cli.JobRecords{Ledger: input.ledger, Worker: host, Line: settings.Line},
	}
	if err := cli.AsHalted(settings.Breaker, show(c, out, p, lines.gatherOptions()...)); err != nil {
		return err
	}
	return input.Err()
}

// scatterOptions returns the option of --max-in-flight.
func scatterOptions(c *urfave.Context) []bridge.ScatterOption {
	if !c.IsSet("max-in-flight") {
		return nil
	}
	return []bridge.ScatterOption{bridge.MaxInFlight(c.Int("max-in-flight"))}
}
