// Command dqworker runs functions for everybody who uses the same Redis.
package main

import (
	"context"
	"os"
	"runtime"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/internal/cli"
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
		UsageText: "dqworker --redis URL [--concurrency N] [--fn NAME=KIND:COMMAND]...",
		Flags: []urfave.Flag{
			cli.RedisFlag("none: it has to be given"),
			&urfave.IntFlag{Name: "concurrency", Usage: "run `N` items at once", DefaultText: "the number of processors"},
			cli.FnFlag(),
			&urfave.BoolFlag{Name: "builtin", Value: true, Usage: "offer the built-in functions too"},
			&urfave.DurationFlag{Name: "lease", Usage: "let others take this process for dead after `TIME` without a heartbeat; " +
				"the same in the whole fleet", DefaultText: "10s"},
			&urfave.DurationFlag{Name: "drain", Usage: "give running functions `TIME` to end when the worker stops", DefaultText: "30s"},
			cli.VerboseFlag(),
			cli.VersionFlag(),
		},
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
	set, err := cli.Commands(c)
	if err != nil {
		return err
	}
	defer set.Close()
	functions := set.Functions()
	if c.Bool("builtin") {
		functions = cli.WithBuiltins(functions)
	}
	hands := c.Int("concurrency")
	if hands == 0 {
		hands = runtime.GOMAXPROCS(0)
	}
	options := []workers.Option{
		workers.Concurrency(hands), workers.Functions(functions...), workers.Logger(cli.Logger(c, c.App.ErrWriter)),
	}
	if c.IsSet("lease") {
		options = append(options, workers.Lease(c.Duration("lease")))
	}
	if c.IsSet("drain") {
		options = append(options, workers.Drain(c.Duration("drain")))
	}
	w, err := workers.New(c.String("redis"), options...)
	if err != nil {
		return cli.AsUsage(err)
	}
	return w.Run(c.Context)
}
