package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/nearest"
	"github.com/dqbridge/dqbridge/operate"
)

const deadUsage = "dead list | show ID... | export ID... | retry [--to QUEUE] [--reason TEXT] ID... | drop [--yes | --dry-run] [--reason TEXT] ID..."

func deadVerb() *urfave.Command {
	return &urfave.Command{
		Name: "dead", Usage: "list, show, export, retry or drop dead letters: items that no worker could process",
		UsageText: "dqbridge " + deadUsage, ArgsUsage: "list | show | export | retry | drop",
		Description: "list prints a table. show prints the items, a line for each. export prints an object of JSON for each item, in a\n" +
			"line: the fields of its letter, and the item as item, or as item_base64 if it is not UTF-8. retry adds the items to the\n" +
			"end of their queue again, or of the queue of --to. drop deletes the dead letters: it asks on a terminal, and needs --yes\n" +
			"without one. With --all, all but list take all dead letters. After an error they continue with the next one.",
		Flags: common(actFlags(cli.JSONFlag(),
			&urfave.BoolFlag{Name: "all", DisableDefaultText: true, Usage: "show, export, retry or drop all dead letters"},
			&urfave.StringFlag{Name: "to", Usage: "retry: add the items to `QUEUE`, for example if their own queue is sealed", DefaultText: "their queue"})...),
		Action: func(c *urfave.Context) error {
			act, ok := deadActs[c.Args().First()]
			if !ok {
				return cli.Usagef("dead %q: %s: dqbridge %s", c.Args().First(), nearest.Suggest(c.Args().First(), []string{"list", "show", "export", "retry", "drop"}), deadUsage)
			}
			if err := checkDead(c); err != nil {
				return err
			}
			return act(c)
		},
	}
}

var deadActs = map[string]func(*urfave.Context) error{
	"list": func(c *urfave.Context) error {
		return observe(c, func(o executor.Inspector) error { return listDead(c, o) })
	},
	"show": func(c *urfave.Context) error {
		return observe(c, func(o executor.Inspector) error { return eachDead(c, o, showDead(c, o)) })
	},
	"export": func(c *urfave.Context) error {
		return observe(c, func(o executor.Inspector) error { return exportDead(c, o) })
	},
	"retry": func(c *urfave.Context) error {
		return operated(c, func(o *operate.Operator) error { return eachDead(c, o.Inspector(), retryDead(c, o)) })
	},
	"drop": dropDead,
}

// checkDead checks the arguments and the flags of dead.
func checkDead(c *urfave.Context) error {
	act := c.Args().First()
	switch list := act == "list"; {
	case list && (c.NArg() > 1 || c.Bool("all")):
		return cli.Usagef("dead list takes neither ids nor --all: dqbridge %s", deadUsage)
	case !list && c.Bool("all") == (c.NArg() > 1):
		return cli.Usagef("dead %s takes ids, or --all: dqbridge %s", act, deadUsage)
	}
	for _, flag := range []struct{ name, of string }{{"json", "list"}, {"to", "retry"}, {"yes", "drop"}, {"dry-run", "drop"}} {
		if act != flag.of && c.IsSet(flag.name) {
			return cli.Usagef("--%s is a flag of dead %s, and dead %s does not take it: dqbridge %s", flag.name, flag.of, act, deadUsage)
		}
	}
	if c.IsSet("reason") && act != "retry" && act != "drop" {
		return cli.Usagef("--reason is a flag of dead retry and dead drop: dqbridge %s", deadUsage)
	}
	return checkShared(c, c.NArg(), deadUsage)
}

func listDead(c *urfave.Context, o executor.Inspector) error {
	type column = cli.Column[executor.DeadLetter]
	var letters []executor.DeadLetter
	for d, err := range o.DeadLetters(c.Context) {
		if err != nil {
			return err
		}
		letters = append(letters, d)
	}
	return cli.List(c, letters,
		column{Head: "ID", Cell: func(d executor.DeadLetter) any { return d.ID }},
		column{Head: "WHEN", Cell: func(d executor.DeadLetter) any { return d.At.Format(time.RFC3339) }},
		column{Head: "QUEUE", Cell: func(d executor.DeadLetter) any { return d.Queue }},
		column{Head: "SOURCE", Cell: func(d executor.DeadLetter) any { return d.Source }},
		column{Head: "OFFSET", Cell: func(d executor.DeadLetter) any { return d.Offset }},
		column{Head: "ITEMS", Cell: func(d executor.DeadLetter) any { return d.Items }},
		column{Head: "CRASHES", Cell: func(d executor.DeadLetter) any { return d.Crashes }},
		column{Head: "WHY", Cell: func(d executor.DeadLetter) any { return d.Why.Error() }})
}

// showDead prints the items of a dead letter.
func showDead(c *urfave.Context, o executor.Inspector) func(context.Context, string) error {
	return func(ctx context.Context, id string) error {
		items, err := o.DeadLetterItems(ctx, id)
		if err != nil {
			return err
		}
		for _, item := range items {
			if _, err := fmt.Fprintf(c.App.Writer, "%s\n", item); err != nil {
				return cli.AsOutput(err)
			}
		}
		return nil
	}
}

// retryDead retries a dead letter to its queue or the one of --to.
func retryDead(c *urfave.Context, o *operate.Operator) func(context.Context, string) error {
	to := c.String("to")
	return func(ctx context.Context, id string) error {
		_, err := o.RetryLetters(ctx, []string{id}, to, actOf(c))
		switch {
		case errors.Is(err, executor.ErrSealed):
			return fmt.Errorf("%w (dqbridge dead retry --to QUEUE)", err)
		case to != "":
			return withSuggestion(ctx, o.Inspector(), to, err)
		}
		return err
	}
}

// dropDead deletes dead letters, after a question.
func dropDead(c *urfave.Context) error {
	sure, err := cli.Confirm(c, func(context.Context) (effect string, err error) {
		err = observe(c, func(o executor.Inspector) error {
			letters, err := chosen(c, o)
			var items int64
			for _, d := range letters {
				items += int64(d.Items)
			}
			effect = fmt.Sprintf("drop %s with %s", count(int64(len(letters)), "dead letter", "dead letters"), count(items, "item", "items"))
			return err
		})
		return effect, err
	})
	if err != nil || !sure {
		return err
	}
	return operated(c, func(o *operate.Operator) error {
		return eachDead(c, o.Inspector(), func(ctx context.Context, id string) error {
			_, err := o.DropLetters(ctx, []string{id}, actOf(c))
			return err
		})
	})
}

// An exportedItem is an item of a dead letter, as export prints it. Its Offset is that of the item.
type exportedItem struct {
	executor.DeadLetter
	Item   *string `json:"item,omitempty"`        // nil if the item is not UTF-8
	Base64 []byte  `json:"item_base64,omitempty"` // the item if Item is nil
}

// exportDead prints the items of dead letters as lines of JSON.
func exportDead(c *urfave.Context, o executor.Inspector) error {
	letters, failed := chosen(c, o)
	lines := json.NewEncoder(c.App.Writer)
	lines.SetEscapeHTML(false)
	for _, d := range letters {
		items, err := o.DeadLetterItems(c.Context, d.ID)
		if c.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
		for _, item := range items {
			line := exportedItem{DeadLetter: d, Base64: item}
			if text := string(item); utf8.ValidString(text) {
				line.Item, line.Base64 = &text, nil
			}
			if err := lines.Encode(line); err != nil {
				return cli.AsOutput(err)
			}
			d.Offset++
		}
	}
	return failed
}

// chosen returns the given dead letters, or all of them with --all. The error is about those that
// were not found; it also returns the others.
func chosen(c *urfave.Context, o executor.Inspector) (letters []executor.DeadLetter, failed error) {
	ids := slices.Clone(c.Args().Slice()[1:])
	for d, err := range o.DeadLetters(c.Context) {
		if err != nil {
			return nil, err
		}
		if at := slices.Index(ids, d.ID); at >= 0 {
			ids = slices.Delete(ids, at, at+1)
		} else if !c.Bool("all") {
			continue
		}
		letters = append(letters, d)
	}
	for _, id := range ids {
		_, err := o.DeadLetterItems(c.Context, id)
		failed = errors.Join(failed, err)
	}
	return letters, failed
}

// eachDead calls do for each of the given dead letters, or for all of them with --all. After an
// error it continues with the next one.
func eachDead(c *urfave.Context, o executor.Inspector, do func(context.Context, string) error) error {
	ids := slices.Clone(c.Args().Slice()[1:])
	if c.Bool("all") {
		for d, err := range o.DeadLetters(c.Context) {
			if err != nil {
				return err
			}
			ids = append(ids, d.ID)
		}
	}
	var failed error
	for _, id := range ids {
		err := do(c.Context, id)
		if errors.As(err, new(cli.OutputError)) || c.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
