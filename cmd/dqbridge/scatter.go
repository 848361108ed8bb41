package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/codec"
)

func scatterVerb() *urfave.Command {
	return &urfave.Command{
		Name: "scatter", Usage: "add the lines of stdin to a named queue",
		UsageText: "dqbridge scatter [--seal] [--source NAME] [--keep-input] [--on-full POLICY] QUEUE", ArgsUsage: "QUEUE",
		Flags: common(
			&urfave.BoolFlag{Name: "seal", DisableDefaultText: true, Usage: "close the queue for further items afterwards, so that a gather can end"},
			&urfave.StringFlag{Name: "source", Usage: "continue the source `NAME`: read the same input again and skip the stored lines"},
			&urfave.BoolFlag{Name: "keep-input", DisableDefaultText: true, Usage: "keep each line until its result is delivered, so that gather shows the line of a failed item"},
			&urfave.IntFlag{Name: "max", Usage: "let at most `N` items wait in the queue, if this command creates it", DefaultText: "no limit"},
			&urfave.StringFlag{Name: "max-bytes", Usage: "let at most `SIZE` bytes wait in the queue, such as 500M or 2G, if this command creates it", DefaultText: "64M"},
			&urfave.StringFlag{Name: "on-full", Value: string(bridge.OverflowBlock), Usage: "choose the effect of a full queue; `POLICY` is " +
				"block (wait), drop-newest (drop the line), drop-oldest (drop the oldest unread items) or fail (end the command)"}),
		Action: func(c *urfave.Context) error {
			if err := cli.Positive(c, "max"); err != nil {
				return err
			}
			most, err := cli.Size(c, "max-bytes")
			if err != nil {
				return err
			}
			onFull, err := cli.OneOf(c, "on-full", bridge.OverflowBlock, bridge.OverflowDropNewest, bridge.OverflowDropOldest, bridge.OverflowFail)
			if err != nil {
				return err
			}
			return shared(c, 1, "scatter [--seal] [--source NAME] [--keep-input] [--on-full POLICY] QUEUE", func(ex *executor.Executor) error { return scatter(c, ex, onFull, most) })
		},
	}
}

// scatter adds the lines of stdin to a queue that holds at most so many bytes; 0: the default.
func scatter(c *urfave.Context, ex *executor.Executor, onFull bridge.OverflowPolicy, most int64) error {
	opts := []bridge.ScatterOption{bridge.Name(c.Args().First()), bridge.Overflow(onFull)}
	if most > 0 {
		opts = append(opts, bridge.MaxBytes(most))
	}
	if c.Bool("seal") {
		opts = append(opts, bridge.Seal())
	}
	if c.Bool("keep-input") {
		opts = append(opts, bridge.KeepInput())
	}
	if c.IsSet("max") {
		opts = append(opts, bridge.MaxSize(c.Int("max")))
	}
	source := cli.NewSource(c.App.Reader)
	lines := cli.Lines(source, '\n')
	if name := c.String("source"); name != "" {
		return durable(c, ex, name, lines, opts)
	}
	return send(c, ex, source, cli.Items(lines), opts)
}

// send scatters the items of a source and waits until they are stored.
func send(c *urfave.Context, ex *executor.Executor, source *cli.Source, items iter.Seq2[codec.Item, error], opts []bridge.ScatterOption) error {
	input := cli.Feed(c.Context, nil, source, nil, items)
	q, err := bridge.ScatterSlices(c.Context, ex, input.Items, opts...)
	if err != nil {
		return err
	}
	awaitStored(c, q, input)
	return errors.Join(q.Err(), input.Err())
}

// awaitStored waits until all items of the input are stored. With -v it logs how many the scatter has
// taken.
func awaitStored(c *urfave.Context, q *executor.Queue[codec.Item], input *cli.Input) {
	var progress *cli.Progress
	if c.Bool("verbose") {
		progress = &cli.Progress{Every: cli.LogPace, Input: input}
	}
	progress.Log(cli.NewConsole(c.App.ErrWriter), c.App.Name, input.Sent, q.Done())
}

// durable scatters lines as a durable source. After a stop or a crash, the same command continues
// it.
func durable(c *urfave.Context, ex *executor.Executor, name string, lines iter.Seq2[[]byte, error], opts []bridge.ScatterOption) error {
	ctx, cancel := context.WithCancelCause(c.Context)
	defer cancel(nil)
	var stored int64
	begin := make(chan struct{}) // closed once stored is known
	items := func(yield func(codec.Item, error) bool) {
		select {
		case <-begin:
		case <-ctx.Done():
			return
		}
		for line, err := range skip(lines, stored) {
			if err != nil { // an incomplete source must not end
				cancel(fmt.Errorf("read stdin: %w", err))
				<-c.Done()
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
	input := cli.Feed(ctx, nil, nil, nil, items)
	q, err := bridge.ScatterSlices(ctx, ex, input.Items, append(opts, bridge.DurableSource(name))...)
	if ended, ok := errors.AsType[*executor.EndedError](err); ok {
		return checkEnded(c, name, skip(lines, ended.Stored), ended.Stored)
	}
	if err != nil {
		return err
	}
	if stored = q.Stored(); stored > 0 {
		_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: source %s continues after line %d\n", c.App.Name, name, stored)
	}
	close(begin)
	awaitStored(c, q, input)
	return q.Err()
}

// checkEnded is for a source that has ended before. A line after the stored ones is an error.
func checkEnded(c *urfave.Context, name string, rest iter.Seq2[[]byte, error], stored int64) error {
	for _, err := range rest {
		if err != nil {
			return fmt.Errorf("read stdin: %w", err)
		}
		return fmt.Errorf("source %s has ended after line %d, and the input has more lines: scatter them under another name", name, stored)
	}
	_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: source %s has all %d lines already\n", c.App.Name, name, stored)
	return nil
}

// skip returns the lines after the first n.
func skip(lines iter.Seq2[[]byte, error], n int64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for line, err := range lines {
			if n--; err == nil && n >= 0 {
				continue
			}
			if !yield(line, err) {
				return
			}
		}
	}
}
