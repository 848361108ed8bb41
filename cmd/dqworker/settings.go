package main

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/pages"
)

// settings are the flags of a worker. Those that may change while it runs have a field.
type settings struct {
	concurrency int
	limits      map[string]int // slots of functions
	commands    []string       // those of --fn
	verbosity   cli.Verbosity
	others      map[string]string // the text of each other flag
}

// running are the flags that may change while the worker runs.
var running = []string{"concurrency", "limit", "fn", "verbose", "log-level"}

// read reads and checks the flags.
func read(c *urfave.Context) (s settings, err error) {
	if err := cli.Positive(c, "concurrency", "max-series"); err != nil {
		return s, err
	}
	if guard := pages.Given(c); c.String("http") == "" && (c.Bool("pprof") || guard != "") {
		return s, cli.Usagef("--%s needs --http: give --http PORT too", cmp.Or(guard, "pprof"))
	}
	if s.limits, err = functionLimits(c.StringSlice("limit")); err != nil {
		return s, err
	}
	s.concurrency, s.verbosity = cmp.Or(c.Int("concurrency"), runtime.GOMAXPROCS(0)), cli.VerbosityOf(c)
	s.commands, s.others = c.StringSlice("fn"), map[string]string{}
	for _, flag := range c.App.Flags {
		if name := flag.Names()[0]; !slices.Contains(running, name) {
			s.others[name] = text(c, name)
		}
	}
	return s, nil
}

// text returns the value of a flag as text that differs if the value does.
func text(c *urfave.Context, name string) string {
	if list := c.StringSlice(name); list != nil {
		return fmt.Sprintf("%q", list)
	}
	return fmt.Sprint(c.Value(name))
}

// functionLimits parses --limit.
func functionLimits(texts []string) (map[string]int, error) {
	limits := map[string]int{}
	for _, text := range texts {
		name, number, ok := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 1 {
			return nil, cli.Usagef("--limit %q: it must be the name of a function and the number of its slots, such as render=2", text)
		}
		if _, twice := limits[name]; twice {
			return nil, cli.Usagef("--limit %q: the function %s has another limit too", text, name)
		}
		limits[name] = n
	}
	return limits, nil
}

// check returns a Usage error for a limit of a function that the worker does not have.
func (s settings) check(functions []string) error {
	if err := cli.CheckKnown(slices.Sorted(maps.Keys(s.limits)), functions); err != nil {
		return cli.Usagef("--limit: %v", err)
	}
	return nil
}

// changed returns the names of the flags that cannot change while the worker runs and have other
// values in next.
func (s settings) changed(next settings) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.others)) {
		if s.others[name] != next.others[name] {
			names = append(names, name)
		}
	}
	return names
}
