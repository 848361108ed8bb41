package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dqbridge/dqbridge/workers"
)

var errNewline = errors.New("the item contains a newline and cannot be a line: use exec: for it")

// exec returns the function that runs a process for each item. The item replaces the placeholders
// of the command. A command without placeholders gets the item and end by stdin, and need not read
// it. The value is stdout without one newline at its end, and has at most 64 MiB.
func (l *launcher) exec(command template, end string) func(context.Context, string) (string, error) {
	run := l.runItem(command, end, l.run)
	return func(ctx context.Context, item string) (string, error) {
		out, err := run(ctx, item)
		return strings.TrimSuffix(out, "\n"), err
	}
}

// drops is the exit status of a filter that drops the item.
const drops = 1

// filter returns the function that runs a process for each item, as exec does. The item is kept if the
// exit status is 0, and dropped if it is 1. Any other status is an error. The output is dropped.
func (l *launcher) filter(command template) func(context.Context, string) (bool, error) {
	run := l.runItem(command, "\n", func(ctx context.Context, line, input string) (string, error) {
		return "", l.runInto(ctx, newProcess(line), input, io.Discard)
	})
	return func(ctx context.Context, item string) (bool, error) {
		_, err := run(ctx, item)
		if exit, ok := errors.AsType[*exitError](err); ok && exit.state.ExitCode() == drops {
			return false, nil
		}
		return err == nil, err
	}
}

// flat returns the function that runs a process for each item, as exec does. Each line of stdout is a
// value. The last line may lack its newline.
func (l *launcher) flat(command template) func(context.Context, string) ([]string, error) {
	run := l.runItem(command, "\n", l.run)
	return func(ctx context.Context, item string) ([]string, error) {
		out, err := run(ctx, item)
		return lines(out), err
	}
}

// runItem returns the function that runs a command line for each item, see exec.
func (l *launcher) runItem(command template, end string, run func(ctx context.Context, line, input string) (string, error),
) func(context.Context, string) (string, error) {
	return func(ctx context.Context, item string) (string, error) {
		if !command.takesItem() {
			return run(ctx, command[0].text, item+end)
		}
		slot := l.slots.take()
		defer l.slots.release(slot)
		at, _ := workers.ItemFrom(ctx)
		line, err := command.expand(target{item: item, number: at.Offset + 1, slot: slot})
		if err != nil {
			return "", err
		}
		return run(ctx, line, "")
	}
}

// MaxBlock is the largest number of bytes of items for a process of pipe:, whose output has the
// bound of a result.
const MaxBlock = 64 << 20

// pipe returns the function that runs a process for each call, with up to 65,536 items. The process
// reads a line for each item and has to write a line for each, in the same order. The last line of
// the output may lack its newline. The output has at most 64 MiB. An item that contains a newline
// fails alone. Any other error fails all items.
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
			return nil, fmt.Errorf("pipe: %d lines in, %d lines out: the command has to write a line for each line; "+
				"use exec: for another command", sent, len(values))
		}
		if len(bad) > 0 {
			return fillGaps(values, len(items), bad), bad
		}
		return values, nil
	}
}

// joinLines returns the items as lines, without the items that contain a newline.
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

// fillGaps returns n values: an empty one for each error of bad, and otherwise the next of values.
func fillGaps(values []string, n int, bad workers.Errors) []string {
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
