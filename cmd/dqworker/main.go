// Command dqworker runs functions for the programs that use the same Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/httpd"
	"github.com/dqbridge/dqbridge/metrics"
	"github.com/dqbridge/dqbridge/workers"
)

func main() { os.Exit(Main()) }

// Main is the whole command. It returns the exit status.
func Main() int {
	return cli.Command{App: app(), Drains: true, Exit: os.Exit}.Run(context.Background(), os.Args)
}

func app() *urfave.App {
	return &urfave.App{
		Name:      "dqworker",
		Usage:     "run functions for the programs that use the same Redis",
		UsageText: "dqworker --redis URL [-j N] [--fn NAME=KIND:COMMAND]...",
		Flags: slices.Concat(cli.LimitFlags(), cli.BatchFlags(), cli.LogFlags(), []urfave.Flag{
			cli.RedisFlag("none; required"),
			&urfave.IntFlag{Name: "concurrency", Aliases: []string{"j"}, Usage: "run `N` items at once", DefaultText: "the number of processors"},
			cli.FnFlag(),
			cli.ChildFlag(),
			&urfave.BoolFlag{Name: "builtin", Value: true, Usage: "serve the built-in functions too"},
			&urfave.DurationFlag{Name: "lease", Usage: "let other processes declare this one dead after `TIME` without a heartbeat; " +
				"use the same value for all workers", DefaultText: "10s"},
			&urfave.DurationFlag{Name: "drain", Usage: "wait up to `TIME` for running functions when the worker stops", DefaultText: "30s"},
			&urfave.BoolFlag{Name: "wait", Value: true, Usage: "wait until Redis answers, if it does not at the start"},
			&urfave.StringFlag{Name: "http", Usage: "serve the health and the metrics of the worker at `ADDR`, HOST:PORT or a port on this machine"},
			&urfave.BoolFlag{Name: "pprof", DisableDefaultText: true, Usage: "serve /debug/pprof with --http too"},
			cli.MaxSeriesFlag(),
			cli.VersionFlag(),
		}),
		Action:    work,
		Writer:    os.Stdout,
		ErrWriter: os.Stderr,
	}
}

func work(c *urfave.Context) error {
	if c.Bool("version") {
		return cli.PrintVersion(c)
	}
	if c.NArg() > 0 {
		return cli.Usagef("unexpected argument %q: functions are given as --fn NAME=KIND:COMMAND", c.Args().First())
	}
	if c.String("redis") == "" {
		return cli.Usagef("the address of Redis is missing: give --redis redis://HOST:6379 or set DQBRIDGE_REDIS")
	}
	if err := cli.Positive(c, "concurrency", "max-series"); err != nil {
		return err
	}
	if c.Bool("pprof") && c.String("http") == "" {
		return cli.Usagef("--pprof needs --http: give --http PORT too")
	}
	set, functions, err := cli.Commands(c, c.App.ErrWriter)
	if err != nil {
		return err
	}
	defer set.Close()
	if c.Bool("builtin") {
		functions = cli.WithBuiltins(functions)
	}
	concurrent := c.Int("concurrency")
	if concurrent == 0 {
		concurrent = runtime.GOMAXPROCS(0)
	}
	log := cli.Logger(c, c.App.ErrWriter)
	options := []workers.Option{workers.Concurrency(concurrent), workers.Functions(functions...), workers.Logger(log)}
	limits, err := cli.ParseLimits(c, log)
	if err != nil {
		return err
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
	about := fmt.Sprintf("%s, concurrency %d, functions %s", cli.Address(c), concurrent, strings.Join(cli.Names(functions, workers.Function.Name), " "))
	if c.String("http") == "" {
		return serve(c, about, options)
	}
	return serveHTTP(c, log, func(more workers.Option) error { return serve(c, about, append(options, more)) })
}

// serveHTTP calls work with an option for workers, whose health and metrics it serves over HTTP
// meanwhile.
func serveHTTP(c *urfave.Context, log *slog.Logger, work func(workers.Option) error) error {
	own, err := metrics.NewWorker(metrics.MaxSeries(c.Int("max-series")))
	if err != nil {
		return err
	}
	server, err := cli.Serve(c, "http", httpd.Routes{Ready: own.Ready, Metrics: own, Profile: c.Bool("pprof")}, log)
	if err != nil {
		return err
	}
	return errors.Join(work(own.Option()), server.Close())
}

// retryInterval is the time between two attempts to reach Redis.
const retryInterval = time.Second

// serve runs a worker. With --wait it tries again until Redis answers.
func serve(c *urfave.Context, about string, options []workers.Option) error {
	warned := false
	for {
		w, err := workers.New(c.String("redis"), options...)
		if err != nil {
			return cli.AsUsage(err)
		}
		err = runWorker(c, w, about)
		if !c.Bool("wait") || !errors.Is(err, workers.ErrUnreachable) || errors.Is(err, workers.ErrUnusable) {
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

// runWorker runs w, and writes about to stderr once w is registered.
func runWorker(c *urfave.Context, w *workers.Worker, about string) error {
	ctx, cancel := context.WithCancel(c.Context)
	reported := make(chan struct{})
	go func() {
		defer close(reported)
		select {
		case <-w.Ready(): //nolint:contextcheck // Ready does not block
			cli.Tell(c, about)
		case <-ctx.Done():
		}
	}()
	err := w.Run(c.Context)
	cancel()
	<-reported
	return err
}
