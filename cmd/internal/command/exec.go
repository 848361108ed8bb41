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
		input, bad := joinLines(items)
		sent := len(items) - len(bad)
		switch {
		case len(items) == 0:
			return nil, nil
		case sent == 0:
			return make([]string, len(items)), bad
		}
		out, err := l.run(ctx, command, input)
		if err != nil {
			return nil, err
		}
		values := lines(out)
		if len(values) != sent {
			return nil, fmt.Errorf("pipe: %d lines in, %d lines out: it takes a line for each line, "+
				"use exec: for a command that does not write that", sent, len(values))
		}
		if len(bad) > 0 {
			return spread(values, len(items), bad), bad
		}
		return values, nil
	}
}

// joinLines makes a line of each item. An item that contains a newline is left out.
func joinLines(items []string) (text string, bad workers.Errors) {
	size := len(items)
	for _, item := range items {
		size += len(item)
	}
	var input strings.Builder
	input.Grow(size)
	for i, item := range items {
		if strings.Contains(item, "\n") {
			if bad == nil {
				bad = make(workers.Errors)
			}
			bad[i] = errNewline
			continue
		}
		input.WriteString(item)
		input.WriteByte('\n')
	}
	return input.String(), bad
}

// spread returns n values, which are empty where there is an error.
func spread(values []string, n int, bad workers.Errors) []string {
	all := make([]string, n)
	for i := range all {
		if bad[i] == nil {
			all[i], values = values[0], values[1:]
		}
	}
	return all
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
