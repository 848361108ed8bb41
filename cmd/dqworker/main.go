// Command dqworker runs functions for the programs that use the same Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/pages"
	"github.com/dqbridge/dqbridge/cmd/internal/telemetry"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

func main() { os.Exit(Main()) }

// Main is the whole command. It returns the exit status.
func Main() int {
	r := newReloader(os.Args)
	run := func(c *urfave.Context) error { return work(c, r) }
	return cli.Command{App: app(run), Drains: true, Hangup: r.hangup, Exit: os.Exit}.Run(context.Background(), os.Args)
}

// app returns the command with an action.
func app(action urfave.ActionFunc) *urfave.App {
	return &urfave.App{
		Name:      "dqworker",
		Usage:     "run functions for the programs that use the same Redis",
		UsageText: "dqworker --redis URL [-j N] [--fn NAME=KIND:COMMAND]...",
		Flags: slices.Concat(cli.LimitFlags(), cli.BatchFlags(), cli.LogFlags(), pages.Flags(), []urfave.Flag{
			cli.RedisFlag("none; required"),
			&urfave.IntFlag{Name: "concurrency", Aliases: []string{"j"}, Usage: "run `N` items at once", DefaultText: "the number of processors"},
			&urfave.StringSliceFlag{Name: "limit", Usage: "run a function in at most N slots at once, `NAME=N`; may be repeated"},
			cli.TagsFlag("run also the stages that need these `TAGS`, with commas between, such as gpu,eu"),
			cli.FnFlag(),
			cli.ChildFlag(),
			&urfave.BoolFlag{Name: "builtin", Value: true, Usage: "serve the built-in functions too"},
			&urfave.DurationFlag{Name: "lease", Usage: "let other processes declare this one dead after `TIME` without a heartbeat; " +
				"use the same value for all workers", DefaultText: "10s"},
			&urfave.DurationFlag{Name: "drain", Usage: "wait up to `TIME` for running functions when the worker stops", DefaultText: "30s"},
			&urfave.BoolFlag{Name: "wait", Value: true, Usage: "wait until Redis answers, if it does not at the start"},
			&urfave.StringFlag{Name: "http", Usage: "serve the health and the metrics of the worker, and the pages and the API of the namespace, at `ADDR`, HOST:PORT or a port on this machine"},
			&urfave.BoolFlag{Name: "pprof", DisableDefaultText: true, Usage: "serve /debug/pprof with --http too"},
			cli.MaxSeriesFlag(),
			cli.ConfigFlag(),
			cli.ManFlag(),
			cli.VersionFlag(),
		}),
		Action:    action,
		Writer:    os.Stdout,
		ErrWriter: os.Stderr,
	}
}

func work(c *urfave.Context, r *reloader) error {
	if c.Bool("version") {
		return cli.PrintVersion(c)
	}
	if c.Bool("man") {
		return cli.PrintMan(c, app(nil))
	}
	if c.NArg() > 0 {
		return cli.Usagef("unexpected argument %q: functions are given as --fn NAME=KIND:COMMAND", c.Args().First())
	}
	if c.String("redis") == "" {
		return cli.Usagef("the address of Redis is missing: give --redis redis://HOST:6379 or set DQBRIDGE_REDIS")
	}
	s, err := read(c)
	if err != nil {
		return err
	}
	offer, err := offered(c)
	if err != nil {
		return err
	}
	defer offer.commands.Close()
	functions := offer.functions()
	names := cli.Names(functions, workers.Function.Name)
	if err := s.check(names); err != nil {
		return err
	}
	log, tuning := cli.Logger(c, c.App.ErrWriter), worker.NewTuning(s.concurrency, s.limits)
	options, err := optionsOf(c, log, tuning, functions)
	if err != nil {
		return err
	}
	traces, err := telemetry.Open(c.Context, c.App.Name, c.App.ErrWriter, log)
	if err != nil {
		return cli.AsUsage(err)
	}
	defer traces.Close()
	options = append(options, traces.Worker()...)
	above, err := newSupervisor(log)
	if err != nil {
		return err
	}
	if c.String("config") != "" {
		defer r.start(c.Context, tuned{
			settings: s, offer: offer, tuning: tuning, log: log, setVerbosity: func(v cli.Verbosity) { cli.SetVerbosity(c, v) },
		})()
	}
	about := fmt.Sprintf("%s, concurrency %d, functions %s", cli.Address(c), s.concurrency, strings.Join(names, " "))
	run := func(more ...workers.Option) error {
		return serve(c, above, about, slices.Concat(options, more, []workers.Option{above.feed}))
	}
	if c.String("http") == "" {
		return run()
	}
	return serveHTTP(c, log, run)
}

// optionsOf returns the options of the worker.
func optionsOf(c *urfave.Context, log *slog.Logger, tuning *worker.Tuning, functions []workers.Function) ([]workers.Option, error) {
	options := []workers.Option{workers.Tags(cli.Tags(c)...), workers.Functions(functions...), workers.Logger(log), func(o *worker.Options) error {
		o.Tuning = tuning
		return nil
	}}
	limits, err := cli.ParseLimits(c, log)
	if err != nil {
		return nil, err
	}
	if limits != nil {
		options = append(options, workers.PauseIf(limits.Reason))
	}
	if c.IsSet("lease") {
		options = append(options, workers.Lease(c.Duration("lease")))
	}
	if c.IsSet("drain") {
		options = append(options, workers.DrainTimeout(c.Duration("drain")))
	}
	return options, nil
}

// retryInterval is the time between two attempts to reach Redis.
const retryInterval = time.Second

// serve runs a worker. With --wait it tries again until Redis answers.
func serve(c *urfave.Context, above supervisor, about string, options []workers.Option) error {
	warned := false
	for {
		w, err := workers.New(c.String("redis"), options...)
		if err != nil {
			return cli.AsUsage(err)
		}
		err = runWorker(c, w, above, about)
		if !c.Bool("wait") || !errors.Is(err, executor.ErrUnreachable) || errors.Is(err, executor.ErrUnusable) {
			return err
		}
		if !warned {
			warned = true
			cli.Tell(c, fmt.Sprintf("%v; waiting until Redis answers (--wait=false turns this off)", err))
		}
		select {
		case <-c.Done():
			return nil
		case <-time.After(retryInterval):
		}
	}
}

// runWorker runs w. It writes about to stderr and tells the supervisor once w is registered.
func runWorker(c *urfave.Context, w *workers.Worker, above supervisor, about string) error {
	ctx, cancel := context.WithCancel(c.Context)
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		select {
		case <-w.Ready(): //nolint:contextcheck // Ready does not block
			cli.Tell(c, about)
			above.ready(about)
			<-ctx.Done()
			above.stopping()
		case <-ctx.Done():
		}
	}()
	err := w.Run(c.Context)
	cancel()
	<-reported
	return err
}
