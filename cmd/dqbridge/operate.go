package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/columns"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/operate"
)

// operated connects for a verb that acts, calls do and closes the Operator.
func operated(c *urfave.Context, do func(*operate.Operator) error) error {
	o, err := operate.New(c.Context, c.String("redis"), executor.Logger(cli.Logger(c, c.App.ErrWriter)))
	if err != nil {
		return err
	}
	return errors.Join(do(o), o.Close())
}

// actFlags returns more and the flags of a verb that acts.
func actFlags(more ...urfave.Flag) []urfave.Flag {
	more = append(more, cli.ConfirmFlags()...)
	return append(more, reasonFlag())
}

// reasonFlag returns --reason.
func reasonFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "reason", Usage: "note `TEXT` beside the act, see dqbridge history", DefaultText: "none"}
}

// actOf returns the act of a verb.
func actOf(c *urfave.Context) operate.Act { return operate.Act{Reason: c.String("reason")} }

// acting returns the action of a verb: it checks the arguments, asks with the text of effect, and calls do.
func acting(
	args int, usage string, effect func(context.Context, *operate.Operator, *urfave.Context) (string, error), do func(*operate.Operator, *urfave.Context) error,
) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		if err := checkShared(c, args, usage); err != nil {
			return err
		}
		return operated(c, func(o *operate.Operator) error {
			sure, err := cli.Confirm(c, func(ctx context.Context) (string, error) { return effect(ctx, o, c) })
			if err != nil || !sure {
				return err
			}
			return do(o, c)
		})
	}
}

// actingOnEach is acting for a verb with several names. After an error it continues with the next one.
func actingOnEach(
	usage string, effect func(context.Context, *operate.Operator, []string) (string, error),
	do func(context.Context, *operate.Operator, string, operate.Act) error,
) urfave.ActionFunc {
	return func(c *urfave.Context) error {
		names := c.Args().Slice()
		return acting(max(1, len(names)), usage, func(ctx context.Context, o *operate.Operator, _ *urfave.Context) (string, error) {
			return effect(ctx, o, names)
		}, func(o *operate.Operator, c *urfave.Context) (failed error) {
			for _, name := range names {
				failed = errors.Join(failed, do(c.Context, o, name, actOf(c)))
			}
			return failed
		})(c)
	}
}

const (
	pauseUsage  = "pause [--yes | --dry-run] [--reason TEXT] STAGE|QUEUE..."
	resumeUsage = "resume [--yes | --dry-run] [--reason TEXT] STAGE|QUEUE|WORKER..."
	cancelUsage = "cancel [--yes | --dry-run] [--abandon] [--reason TEXT] SOURCE OFFSET"
	drainUsage  = "drain [--yes | --dry-run] [--force] [--reason TEXT] WORKER"
	purgeUsage  = "purge [--yes | --dry-run] [--reason TEXT] QUEUE"
)

func pauseVerb() *urfave.Command {
	return &urfave.Command{
		Name: "pause", Usage: "pause a stage: workers finish what they run and take no more",
		UsageText: "dqbridge " + pauseUsage, ArgsUsage: "STAGE|QUEUE...", Flags: common(actFlags()...),
		Description: "A queue stands for the stage that reads it. The stage stays paused until dqbridge resume.",
		Action: actingOnEach(pauseUsage, func(ctx context.Context, o *operate.Operator, names []string) (string, error) {
			var stages []string
			for _, name := range names {
				stage, err := o.Stage(ctx, name)
				if err != nil {
					return "", err
				}
				stages = append(stages, stage)
			}
			if len(stages) == 1 {
				return "pause stage " + stages[0], nil
			}
			return "pause stages " + strings.Join(stages, ", "), nil
		}, func(ctx context.Context, o *operate.Operator, name string, act operate.Act) error {
			_, err := o.Pause(ctx, name, act)
			return err
		}),
	}
}

func resumeVerb() *urfave.Command {
	return &urfave.Command{
		Name: "resume", Usage: "resume a paused stage, or a worker that was drained",
		UsageText: "dqbridge " + resumeUsage, ArgsUsage: "STAGE|QUEUE|WORKER...", Flags: common(actFlags()...),
		Action: actingOnEach(resumeUsage, func(_ context.Context, _ *operate.Operator, names []string) (string, error) {
			return "resume " + strings.Join(names, ", "), nil
		}, resume),
	}
}

// resume resumes a stage, or a worker if no stage has that name.
func resume(ctx context.Context, o *operate.Operator, name string, act operate.Act) error {
	_, err := o.Resume(ctx, name, act)
	if errors.Is(err, operate.ErrStageNotFound) {
		if failed := o.Undrain(ctx, name, act); !errors.Is(failed, operate.ErrWorkerNotFound) {
			return failed
		}
	}
	return err
}

func cancelVerb() *urfave.Command {
	abandon := &urfave.BoolFlag{
		Name: "abandon", DisableDefaultText: true,
		Usage: "if the function does not return within ten seconds, let its slot go on without it; a goroutine is lost until it does",
	}
	return &urfave.Command{
		Name: "cancel", Usage: "cancel an item that a worker runs, by its source and its offset there",
		UsageText: "dqbridge " + cancelUsage, ArgsUsage: "SOURCE OFFSET", Flags: common(actFlags(abandon)...),
		Description: "dqbridge doctor names the items that run for too long. The item is a failure in its place, and its command is killed.",
		Action: func(c *urfave.Context) error {
			offset, err := strconv.ParseInt(c.Args().Get(1), 10, 64)
			if c.NArg() == 2 && (err != nil || offset < 0) {
				return cli.Usagef("cancel: %q is no offset: give a number from 0 on: dqbridge %s", c.Args().Get(1), cancelUsage)
			}
			return acting(2, cancelUsage, func(context.Context, *operate.Operator, *urfave.Context) (string, error) {
				text := fmt.Sprintf("cancel 1 item: offset %d of source %s", offset, c.Args().First())
				if c.Bool("abandon") {
					text += ", and leave a goroutine of the worker behind if the function does not return"
				}
				return text, nil
			}, func(o *operate.Operator, c *urfave.Context) error {
				cancel := o.Cancel
				if c.Bool("abandon") {
					cancel = o.Abandon
				}
				_, err := cancel(c.Context, c.Args().First(), offset, actOf(c))
				if errors.Is(err, operate.ErrStillRunning) {
					err = fmt.Errorf("%w: %s", err, stillRunning(c.Bool("abandon")))
				}
				return err
			})(c)
		},
	}
}

// stillRunning says what to do if a call goes on after a cancel, which has abandoned it or not.
func stillRunning(abandoned bool) string { //nolint:revive // a state of the call
	if abandoned {
		return "the worker does not answer or is of an earlier version: restart it"
	}
	return "give --abandon to let its slot go on without it, or restart the worker"
}

func drainVerb() *urfave.Command {
	force := &urfave.BoolFlag{Name: "force", DisableDefaultText: true, Usage: "also if no other worker has one of its functions"}
	return &urfave.Command{
		Name: "drain", Usage: "let a worker finish its items and take no more, until dqbridge resume",
		UsageText: "dqbridge " + drainUsage, ArgsUsage: "WORKER", Flags: common(actFlags(force)...),
		Action: acting(1, drainUsage, func(ctx context.Context, o *operate.Operator, c *urfave.Context) (string, error) {
			holders, err := o.Holders(ctx, c.Args().First())
			var left []string
			for _, h := range holders {
				left = append(left, fmt.Sprintf("%s stays with %s", h.Function, count(int64(h.Others), "worker", "workers")))
			}
			return fmt.Sprintf("drain worker %s: %s", c.Args().First(), strings.Join(left, ", ")), err
		}, func(o *operate.Operator, c *urfave.Context) error {
			if c.Bool("force") {
				return o.DrainLast(c.Context, c.Args().First(), actOf(c))
			}
			err := o.Drain(c.Context, c.Args().First(), actOf(c))
			if errors.Is(err, operate.ErrLastHolder) {
				err = fmt.Errorf("%w: give --force to drain it all the same", err)
			}
			return err
		}),
	}
}

func purgeVerb() *urfave.Command {
	return &urfave.Command{
		Name: "purge", Usage: "drop the items that wait in a queue; each leaves a failure in its place",
		UsageText: "dqbridge " + purgeUsage, ArgsUsage: "QUEUE", Flags: common(actFlags()...),
		Description: "The streams behind the queue end in order. Items that a worker or a gather has read go on.",
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 1, purgeUsage); err != nil {
				return err
			}
			return operated(c, func(o *operate.Operator) error { return purge(c, o, c.Args().First()) })
		},
	}
}

// purge purges a queue, after its name was typed.
func purge(c *urfave.Context, o *operate.Operator, name string) error {
	sure, err := cli.ConfirmName(c, name, func(ctx context.Context) (string, error) { return purging(ctx, o.Inspector(), name) })
	if err != nil || !sure {
		return err
	}
	var progress func(items int64)
	if cli.ShowsStatus(c.App.ErrWriter) {
		progress = func(items int64) { _, _ = fmt.Fprintf(c.App.ErrWriter, "\r%d dropped", items) } // only for people
		defer func() { _, _ = fmt.Fprintln(c.App.ErrWriter) }()
	}
	items, err := o.Purge(c.Context, name, actOf(c), progress)
	if err != nil {
		return withSuggestion(c.Context, o.Inspector(), name, err)
	}
	_, err = fmt.Fprintf(c.App.Writer, "%s dropped\n", count(items, "item", "items"))
	return cli.AsOutput(err)
}

// purging describes the effect of a purge.
func purging(ctx context.Context, o executor.Inspector, name string) (string, error) {
	s, err := o.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	for _, q := range s.Queues {
		if q.Name != name {
			continue
		}
		text := fmt.Sprintf("purge queue %s of flow %s: %s", name, q.Flow, count(q.Waiting+q.Requeued+q.Suspects+q.Delayed, "item", "items"))
		if q.Consumer != "" {
			text += ", for which " + columns.Consumer(q, s.At) + " waits"
		}
		return text, nil
	}
	return "", withSuggestion(ctx, o, name, fmt.Errorf("queue %q: %w", name, executor.ErrQueueNotFound))
}

// historyLength is the number of acts that history shows without --limit.
const historyLength = 100

func historyVerb() *urfave.Command {
	type column = cli.Column[inspect.Act]
	flows := &urfave.BoolFlag{Name: "flows", DisableDefaultText: true, Usage: "list the last flows that have gone instead, with their items, times and errors"}
	return &urfave.Command{
		Name: "history", Usage: "list the last acts of operators, or the last flows that have gone, the latest first",
		UsageText: "dqbridge history [FLAGS]", Flags: common(append(cli.ListFlags(), flows)...),
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 0, "history"); err != nil {
				return err
			}
			if c.Bool("flows") {
				return observe(c, func(o executor.Inspector) error {
					ended, err := o.EndedFlows(c.Context)
					if err != nil {
						return err
					}
					return cli.List(c, ended, columns.EndedFlows()...)
				})
			}
			return operated(c, func(o *operate.Operator) error {
				acts, err := o.Acts(c.Context, max(c.Int("limit"), historyLength))
				if err != nil {
					return err
				}
				return cli.List(c, acts,
					column{Head: "AT", Cell: func(a inspect.Act) any { return a.At.Format(time.RFC3339) }},
					column{Head: "BY", Cell: func(a inspect.Act) any { return a.By }},
					column{Head: "ACT", Cell: func(a inspect.Act) any { return a.Verb }},
					column{Head: "OBJECT", Cell: func(a inspect.Act) any { return a.Object }},
					column{Head: "ITEMS", Cell: func(a inspect.Act) any { return a.Count }},
					column{Head: "REASON", Cell: func(a inspect.Act) any { return a.Reason }})
			})
		},
	}
}
