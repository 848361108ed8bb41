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

const gatherUsage = "gather [--errors POLICY] [--follow] [--ack] [--unordered] QUEUE"

func gatherVerb() *urfave.Command {
	return &urfave.Command{
		Name: "gather", Usage: "write the items of a named queue to stdout, in order, until the queue is sealed and empty",
		UsageText: "dqbridge " + gatherUsage, ArgsUsage: "QUEUE",
		Description: "An item is removed from the queue after its line was written. With --ack, each line of stdin removes the first\n" +
			"written item that is still in the queue. The next gather delivers the remaining items.",
		Flags: common(errorsFlag(),
			&urfave.BoolFlag{Name: "ack", DisableDefaultText: true, Usage: "remove an item only when stdin has a line for it"},
			&urfave.BoolFlag{Name: "follow", DisableDefaultText: true, Usage: "wait until the queue exists and no other process gathers it; " +
				"continue after a source that broke"},
			&urfave.BoolFlag{Name: "unordered", DisableDefaultText: true, Usage: "write items as they arrive"}),
		Action: func(c *urfave.Context) error {
			policy, err := cli.ParseErrors(c.String("errors"))
			if err != nil {
				return err
			}
			return shared(c, 1, gatherUsage, func(ex *executor.Executor) error { return gather(c, ex, policy) })
		},
	}
}

func gather(c *urfave.Context, ex *executor.Executor, policy cli.ErrorPolicy) error {
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
	// A line is acknowledged after it was written. The next gather delivers the others.
	p := cli.Printer{
		Console: console, Errors: policy, Progress: &cli.Progress{}, Records: records, Follow: c.Bool("follow"),
		Remedy: "gather " + q.Name() + " again for the others",
	}
	if c.Bool("ack") {
		ctx, cancel := context.WithCancelCause(c.Context)
		defer cancel(nil)
		c.Context = ctx
		p.Acks = cli.ReadAcks(cli.Lines(c.App.Reader, '\n'), policy, cancel)
	}
	return show(c, q, p, opts...)
}

// awaitQueue opens the queue. With --follow it waits until the queue exists.
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
