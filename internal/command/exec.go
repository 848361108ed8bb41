package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dqbridge/dqbridge/workers"
)

var errNewline = errors.New("the item contains a newline and cannot be a line, use exec: for it")

// exec returns the function that runs a process for each item. Placeholders in the command are replaced by
// the item; a command without any gets it by stdin, with end behind it, and need not read it. The value is stdout without
// its last newline (a "\n", nothing else). It may have 64 MiB.
func (l *launcher) exec(command template, end string) func(context.Context, string) (string, error) {
	return func(ctx context.Context, item string) (string, error) {
		if !command.takesItem() {
			return trimmed(l.run(ctx, command[0].text, item+end))
		}
		slot := l.slots.take()
		defer l.slots.release(slot)
		at, _ := workers.ItemFrom(ctx)
		line, err := command.expand(target{item: item, number: at.Offset + 1, slot: slot})
		if err != nil {
			return "", err
		}
		return trimmed(l.run(ctx, line, ""))
	}
}

func trimmed(out string, err error) (string, error) { return strings.TrimSuffix(out, "\n"), err }

// MaxBlock is how many bytes of items a process of pipe: may get: its output has the bound of a
// result.
const MaxBlock = 64 << 20

// pipe returns the function that runs a process for each call, with up to 65,536 items: a line for
// each item, in order, out as well as in. The last line of the output may lack
// its newline, all of it may have 64 MiB. An item that contains a newline
// fails alone; whatever else is wrong fails all items.
func (l *launcher) pipe(command string) func(context.Context, []string) ([]string, error) {
	return func(ctx context.Context, items []string) ([]string, error) {
		var input strings.Builder
		var sent []int
		bad := make(workers.Errors)
		for i, item := range items {
			if strings.Contains(item, "\n") {
				bad[i] = errNewline
				continue
			}
			input.WriteString(item)
			input.WriteByte('\n')
			sent = append(sent, i)
		}
		values := make([]string, len(items))
		if len(sent) > 0 {
			out, err := l.run(ctx, command, input.String())
			if err != nil {
				return nil, err
			}
			got := lines(out)
			if len(got) != len(sent) {
				return nil, fmt.Errorf("pipe: %d lines in, %d lines out: it takes a line for each line, "+
					"use exec: for a command that does not write that", len(sent), len(got))
			}
			for k, i := range sent {
				values[i] = got[k]
			}
		}
		if len(bad) > 0 {
			return values, bad
		}
		return values, nil
	}
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
