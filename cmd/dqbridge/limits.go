package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/executor"
)

// limitFlags are the flags of run for limits of all workers together.
func limitFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "limit", Usage: "begin at most so many calls of a function in a time, over all workers: `FN=N/TIME`, " +
			"such as fetch=100/s or fetch=5/30s; may be repeated"},
		&urfave.StringSliceFlag{Name: "max", Usage: "run at most so many calls of a function at once, over all workers: `FN=N`; may be repeated"},
	}
}

// limitOptions returns the options of --limit and --max by the functions, which are the arguments.
func limitOptions(c *urfave.Context) (map[string][]executor.MapOption, error) {
	opts := map[string][]executor.MapOption{}
	for _, flag := range []string{"limit", "max"} {
		seen := map[string]bool{}
		for _, text := range c.StringSlice(flag) {
			function, value, ok := strings.Cut(text, "=")
			switch {
			case !ok:
				return nil, cli.Usagef("--%s %s: write FN=%s", flag, text, map[string]string{"limit": "N/TIME", "max": "N"}[flag])
			case !slices.Contains(c.Args().Slice(), function):
				return nil, cli.Usagef("--%s %s: %q is none of the functions of this run", flag, text, function)
			case seen[function]:
				return nil, cli.Usagef("--%s %s: %s has a value already", flag, text, function)
			}
			seen[function] = true
			option, err := limitOption(flag, value, text)
			if err != nil {
				return nil, err
			}
			opts[function] = append(opts[function], option)
		}
	}
	return opts, nil
}

// ownLimits returns the options of --limit and --max of map, which has one function.
func ownLimits(c *urfave.Context) (opts []executor.MapOption, err error) {
	for _, flag := range []string{"limit", "max"} {
		if !c.IsSet(flag) {
			continue
		}
		option, err := limitOption(flag, c.String(flag), c.String(flag))
		if err != nil {
			return nil, err
		}
		opts = append(opts, option)
	}
	return opts, nil
}

// limitOption returns the option of a value, such as 100/s of --limit. Its error names the whole text of the flag.
func limitOption(flag, value, text string) (executor.MapOption, error) {
	number, unit, timed := strings.Cut(value, "/")
	n, err := strconv.Atoi(number)
	isNumber := err == nil && n >= 1
	if flag == "max" {
		if !isNumber || timed {
			return nil, cli.Usagef("--max %s: the number must be at least 1", text)
		}
		return executor.MaxConcurrency(n), nil
	}
	if unit != "" && (unit[0] < '0' || unit[0] > '9') {
		unit = "1" + unit
	}
	per, err := time.ParseDuration(unit)
	if !isNumber || err != nil || per <= 0 {
		return nil, cli.Usagef("--limit %s: write a number of calls of at least 1 and a time above 0, such as 100/s, 5/30s or 1000/h", text)
	}
	return executor.RateLimit(n, per), nil
}
