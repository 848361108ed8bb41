// Command dqworker runs functions for everybody who uses the same Redis.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
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
		Usage:     "run functions for everybody who uses the same Redis",
		UsageText: "dqworker --redis URL [-j N] [--fn NAME=KIND:COMMAND]...",
		Flags: append(append(cli.LimitFlags(), cli.BatchFlags()...),
			cli.RedisFlag("none: it has to be given"),
			&urfave.IntFlag{Name: "concurrency", Aliases: []string{"j"}, Usage: "run `N` items at once", DefaultText: "the number of processors"},
			cli.FnFlag(),
			cli.ChildFlag(),
			&urfave.BoolFlag{Name: "builtin", Value: true, Usage: "offer the built-in functions too"},
			&urfave.DurationFlag{Name: "lease", Usage: "let others take this process for dead after `TIME` without a heartbeat; " +
				"the same in the whole fleet", DefaultText: "10s"},
			&urfave.DurationFlag{Name: "drain", Usage: "give running functions `TIME` to end when the worker stops", DefaultText: "30s"},
			&urfave.BoolFlag{Name: "wait", Value: true, Usage: "wait for a Redis that does not answer yet"},
			cli.VerboseFlag(),
			cli.VersionFlag()),
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
		return cli.Usagef("where is Redis? give --redis redis://HOST:6379 or set DQBRIDGE_REDIS")
	}
	if err := cli.Positive(c, "concurrency"); err != nil {
		return err
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
	return serve(c, about, options)
}

// again is how long to wait for a Redis that does not answer.
const again = time.Second

// serve runs a worker. With --wait it starts another one until Redis answers.
func serve(c *urfave.Context, about string, options []workers.Option) error {
	warned := false
	for {
		w, err := workers.New(c.String("redis"), options...)
		if err != nil {
			return cli.AsUsage(err)
		}
		err = tell(c, w, about)
		if !c.Bool("wait") || !errors.Is(err, workers.ErrUnreachable) || errors.Is(err, workers.ErrUnusable) {
			return err
		}
		if !warned {
			warned = true
			_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: %v; waiting until it does (not with --wait=false)\n", c.App.Name, err)
		}
		select {
		case <-c.Done():
			return nil
		case <-time.After(again):
		}
	}
}

// tell runs a worker, and says what it does once others know it.
func tell(c *urfave.Context, w *workers.Worker, about string) error {
	ctx, cancel := context.WithCancel(c.Context)
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-w.Ready(): //nolint:contextcheck // it waits for nothing
			_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: %s\n", c.App.Name, about)
		case <-ctx.Done():
		}
	}()
	err := w.Run(c.Context)
	cancel()
	<-told
	return err
}
