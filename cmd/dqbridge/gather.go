package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
)

const gatherUsage = "gather [--errors WHAT] [--follow] [--ack] [--unordered] QUEUE"

func gatherVerb() *urfave.Command {
	return &urfave.Command{
		Name: "gather", Usage: "take the items of a named queue to stdout, in order, until it is sealed and empty",
		UsageText: "dqbridge " + gatherUsage, ArgsUsage: "QUEUE",
		Description: "A line is taken when it was written; with --ack when a line of stdin says so: each is for the first line that\n" +
			"was written and is not taken. The next gather brings the others.",
		Flags: common(errorsFlag(),
			&urfave.BoolFlag{Name: "ack", DisableDefaultText: true, Usage: "take a line when stdin has a line for it"},
			&urfave.BoolFlag{Name: "follow", DisableDefaultText: true, Usage: "wait for the queue, and while another process gathers it; " +
				"go on when a source broke"},
			&urfave.BoolFlag{Name: "unordered", DisableDefaultText: true, Usage: "write items as they come"}),
		Action: func(c *urfave.Context) error {
			what, err := cli.ParseErrors(c.String("errors"))
			if err != nil {
				return err
			}
			return shared(c, 1, gatherUsage, func(ex *executor.Executor) error { return gather(c, ex, what) })
		},
	}
}

func gather(c *urfave.Context, ex *executor.Executor, what cli.Errors) error {
	console := cli.NewConsole(c.App.ErrWriter)
	q, err := awaitQueue(c, ex, console)
	if err != nil {
		return err
	}
	opts := []bridge.GatherOption{bridge.ManualAck(), bridge.KeepInput()}
	if c.Bool("follow") {
		opts = append(opts, bridge.Wait())
	}
	records := &cli.FunctionRecords{Single: c.Bool("unordered")}
	if c.Bool("unordered") {
		opts = append(opts, bridge.Unordered())
	}
	// A line is delivered when it was written: the next gather brings the others.
	p := cli.Printer{
		Console: console, Errors: what, Progress: &cli.Progress{}, Records: records, Follow: c.Bool("follow"),
		Rest: "gather " + q.Name() + " again for the others",
	}
	if c.Bool("ack") {
		ctx, cancel := context.WithCancelCause(c.Context)
		defer cancel(nil)
		c.Context = ctx
		p.Acks = cli.ReadAcks(cli.Lines(c.App.Reader, '\n'), what == cli.Inline, cancel)
	}
	return show(c, q, p, opts...)
}

// awaitQueue opens the queue. With --follow it waits for it.
func awaitQueue(c *urfave.Context, ex *executor.Executor, console *cli.Console) (*executor.Queue[codec.Item], error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for warned := false; ; warned = true {
		q, err := open(c.Context, ex, c.Args().First())
		if !c.Bool("follow") || !errors.Is(err, executor.ErrQueueNotFound) {
			return q, err
		}
		if !warned {
			_, _ = fmt.Fprintf(console, "%s: there is no queue %s yet, waiting\n", c.App.Name, c.Args().First())
		}
		select {
		case <-c.Done():
			return nil, context.Cause(c.Context)
		case <-tick.C:
		}
	}
}
