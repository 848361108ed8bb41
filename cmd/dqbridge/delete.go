package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/operate"
)

const deleteUsage = "delete [--yes | --dry-run] [--reason TEXT] QUEUE"

func deleteVerb() *urfave.Command {
	return &urfave.Command{
		Name: "delete", Usage: "delete a queue, its items and its stages",
		UsageText: "dqbridge " + deleteUsage, ArgsUsage: "QUEUE", Flags: common(actFlags()...),
		Description: "It asks on a terminal. Without a terminal it needs --yes.",
		Action: func(c *urfave.Context) error {
			if err := checkShared(c, 1, deleteUsage); err != nil {
				return err
			}
			name := c.Args().First()
			sure, err := cli.Confirm(c, func(ctx context.Context) (effect string, err error) {
				err = observe(c, func(o executor.Inspector) error {
					effect, err = deletion(ctx, o, name)
					return err
				})
				return effect, err
			})
			if err != nil || !sure {
				return err
			}
			return operated(c, func(o *operate.Operator) error {
				return withSuggestion(c.Context, o.Inspector(), name, o.Delete(c.Context, name, actOf(c)))
			})
		},
	}
}

// deletion describes the effect of the deletion of a queue.
func deletion(ctx context.Context, o executor.Inspector, name string) (string, error) {
	s, err := o.Snapshot(ctx)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(s.Queues, func(q inspect.Queue) bool { return q.Name == name })
	if at < 0 {
		return "", withSuggestion(ctx, o, name, fmt.Errorf("queue %q: %w", name, executor.ErrQueueNotFound))
	}
	q := s.Queues[at]
	text := fmt.Sprintf("delete queue %s: %s that no worker has read", name, count(q.Waiting, "item", "items"))
	if n := q.Requeued + q.Suspects + q.Delayed + q.Running; n > 0 {
		text += fmt.Sprintf(", %s that run or wait for another attempt", count(n, "item", "items"))
	}
	var around []string
	for _, stage := range s.Stages {
		if slices.Contains(stage.In, name) || slices.Contains(stage.Out, name) {
			around = append(around, stage.ID)
		}
	}
	switch len(around) {
	case 0:
	case 1:
		text += ", stage " + around[0]
	default:
		text += ", stages " + strings.Join(around, ", ")
	}
	return text, nil
}

// count returns a number with a noun.
func count(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
