package cli

import (
	"context"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/builtin"
	"github.com/dqbridge/dqbridge/cmd/internal/child"
	"github.com/dqbridge/dqbridge/cmd/internal/command"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/nearest"
	"github.com/dqbridge/dqbridge/workers"
)

// RedisFlag returns --redis, whose default is DQBRIDGE_REDIS. otherwise describes the default of
// both.
func RedisFlag(otherwise string) urfave.Flag {
	return &urfave.StringFlag{
		Name: "redis", EnvVars: []string{"DQBRIDGE_REDIS"}, DefaultText: otherwise,
		Usage: "use the Redis at `URL`, such as redis://127.0.0.1:6379; @FILE reads the URL from a file",
	}
}

// Address returns the address of --redis without its secrets.
func Address(c *urfave.Context) string { return broker.Label(c.String("redis")) }

// FnFlag returns --fn, which may be repeated.
func FnFlag() urfave.Flag {
	return &urfave.StringSliceFlag{
		Name: "fn", KeepSpace: true,
		Usage: "make a function of an external command, `NAME=KIND:COMMAND`; KIND is exec (a process for each item, " +
			"{} in COMMAND is the item), exec0 (the same, without a newline after the item), filter (as exec: exit status 0 keeps the item, " +
			"1 drops it), flat (as exec: each line of the output is a result), " +
			"pipe (a process for many items), coproc (a process that stays) or coproc+id (the same, with an id before each line)",
	}
}

// TagsFlag returns --tags, which may be repeated.
func TagsFlag(usage string) urfave.Flag { return &urfave.StringSliceFlag{Name: "tags", Usage: usage} }

// Tags returns the tags of --tags.
func Tags(c *urfave.Context) (tags []string) {
	for _, text := range c.StringSlice("tags") {
		tags = append(tags, strings.Split(text, ",")...)
	}
	return tags
}

// VerboseFlag returns --verbose.
func VerboseFlag() urfave.Flag {
	return &urfave.BoolFlag{
		Name: "verbose", Aliases: []string{"v"}, DisableDefaultText: true,
		Usage: "log each step and each failure to stderr",
	}
}

// LogFlags returns --verbose, --log-format and --log-level.
func LogFlags() []urfave.Flag {
	return []urfave.Flag{
		VerboseFlag(),
		&urfave.StringFlag{
			Name: "log-format", DefaultText: "plain warnings", Usage: "write the log as `FORMAT`: text, a line of key=value, or json, an object in each line",
			Action: func(c *urfave.Context, _ string) error {
				_, err := OneOf(c, "log-format", formatText, formatJSON)
				return err
			},
		},
		&urfave.StringFlag{
			Name: "log-level", DefaultText: "warn; info with -v", Usage: "log records from `LEVEL` on: debug, info, warn or error",
			Action: func(c *urfave.Context, _ string) error { _, err := OneOf(c, "log-level", levels...); return err },
		},
	}
}

// VersionFlag returns --version.
func VersionFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "version", DisableDefaultText: true, Usage: "print the version"}
}

// Positive returns an error if one of the given integer flags is below 1.
func Positive(c *urfave.Context, names ...string) error {
	for _, name := range names {
		if c.IsSet(name) && c.Int(name) < 1 {
			return Usagef("--%s %d: it must be at least 1", name, c.Int(name))
		}
	}
	return nil
}

// Duration returns the value of a flag: a positive duration of Go, such as 1m30s, or a number of
// seconds. It returns 0 if the flag is not given.
func Duration(c *urfave.Context, name string) (time.Duration, error) {
	text := c.String(name)
	if text == "" && !c.IsSet(name) {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, failed := strconv.ParseFloat(text, 64); failed == nil && seconds < math.MaxInt64/1e9 {
		d, err = time.Duration(seconds*float64(time.Second)), nil
	}
	switch {
	case err != nil:
		return 0, Usagef("--%s %q: it is no duration such as 1m30s and no number of seconds", name, text)
	case d <= 0:
		return 0, Usagef("--%s %s: it must be above 0", name, text)
	}
	return d, nil
}

// OneOf returns the value of a flag, which has to be one of words.
func OneOf[T ~string](c *urfave.Context, flag string, words ...T) (T, error) {
	word := T(c.String(flag))
	if slices.Contains(words, word) {
		return word, nil
	}
	names := Names(words, func(w T) string { return string(w) })
	return word, Usagef("unknown --%s %q: %s", flag, word, nearest.Suggest(string(word), names))
}

// ChildFlag returns --child, which may be repeated.
func ChildFlag() urfave.Flag {
	return &urfave.StringSliceFlag{
		Name: "child", KeepSpace: true,
		Usage: "serve the functions of a program in another language; `COMMAND` runs once for each slot; see docs/children.md",
	}
}

// Commands returns the functions of --fn and --child, with --batch and --block. It starts the first
// process of each child, whose stderr is copied to stderr. The caller closes the Set.
func Commands(c *urfave.Context, stderr io.Writer) (*command.Set, []workers.Function, error) {
	opts, err := batchOptions(c)
	if err != nil {
		return nil, nil, err
	}
	set, err := command.New(c.StringSlice("fn"), Logger(c, stderr), opts...)
	if err != nil {
		return nil, nil, Usagef("--fn: %s", strings.TrimPrefix(err.Error(), "command "))
	}
	if err := set.Check(); err != nil {
		set.Close()
		return nil, nil, Usagef("--fn: %v", err)
	}
	functions := set.Functions()
	for _, line := range c.StringSlice("child") {
		children, err := child.Open(c.Context, set, line, stderr)
		if err != nil {
			set.Close()
			return nil, nil, Usagef("--child: %v", err)
		}
		functions = append(functions, children.Functions()...)
	}
	return set, functions, nil
}

// UntilBroken returns a context that ends when a command of set cannot run on this machine. Its
// cause is the error of the command.
func UntilBroken(c *urfave.Context, set *command.Set) (ctx context.Context, stop func()) {
	own, cancel := context.WithCancelCause(c.Context)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case err := <-set.Broken():
			cancel(err)
		case <-own.Done():
		}
	}()
	return own, func() {
		cancel(nil)
		<-stopped
	}
}

// WithBuiltins adds the built-in functions to others, without those whose names are taken.
func WithBuiltins(functions []workers.Function) []workers.Function {
	names := Names(functions, workers.Function.Name)
	for _, f := range builtin.Functions() {
		if !slices.Contains(names, f.Name()) {
			functions = append(functions, f)
		}
	}
	return functions
}

// Names returns the name of each element of list.
func Names[T any](list []T, name func(T) string) []string {
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = name(v)
	}
	return names
}
