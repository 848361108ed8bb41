package main

import (
	"fmt"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/check"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
)

const checkUsage = "check --fn NAME [--fails NAME] [--worker COMMAND] [--full-memory]"

func checkVerb() *urfave.Command {
	return &urfave.Command{
		Name: "check", Usage: "test a worker in another language: order, batches, split, poison, retry, full memory, drain, kill",
		UsageText: "dqbridge " + checkUsage,
		Description: "The function NAME takes a string (raw or json) or a number (json), returns the same output for the same input, and never\n" +
			"fails. No other worker may have it. Exit status: 0, or 1 if a check has failed.",
		Flags: common(
			&urfave.StringFlag{Name: "fn", Usage: "the function `NAME` of the worker"},
			&urfave.StringFlag{Name: "fails", Usage: "the function `NAME` of the worker that fails for each item (default: no check of retries)"},
			&urfave.StringFlag{Name: "worker", Usage: "start the worker by `COMMAND`, which reads the address from DQBRIDGE_REDIS and ends at SIGTERM (default: it runs already)"},
			&urfave.BoolFlag{Name: "full-memory", DisableDefaultText: true, Usage: "set the maxmemory of the server to 1 byte during a check; no other program may use the server"}),
		Action: func(c *urfave.Context) error {
			if c.String("fn") == "" {
				return cli.Usagef("check needs --fn NAME: dqbridge %s", checkUsage)
			}
			return shared(c, 0, checkUsage, func(ex *executor.Executor) error { return checkWorker(c, ex) })
		},
	}
}

func checkWorker(c *urfave.Context, ex *executor.Executor) error {
	checker := check.Checker{
		Executor: ex, URL: c.String("redis"), Name: c.String("fn"), Fails: c.String("fails"), Worker: c.String("worker"),
		Memory: c.Bool("full-memory"),
	}
	failed, err := checker.Run(c.Context, func(v check.Verdict) {
		switch {
		case v.Err != nil:
			_, _ = fmt.Fprintf(c.App.Writer, "FAILED   %s\n         %s\n", v.Name, cli.Printable(v.Err.Error()))
		case v.Skipped != "":
			_, _ = fmt.Fprintf(c.App.Writer, "skipped  %s\n         %s\n", v.Name, cli.Printable(v.Skipped))
		default:
			_, _ = fmt.Fprintf(c.App.Writer, "ok       %s\n", v.Name)
		}
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d checks have failed: docs/protocol.md has the rules", failed)
	}
	return err
}
