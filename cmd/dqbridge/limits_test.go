package main

import (
	"io"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/executor"
)

// parsedLimits returns the options of a command line of run.
func parsedLimits(args ...string) (opts map[string][]executor.MapOption, err error) {
	app := &urfave.App{
		Name: "run", Flags: limitFlags(), Writer: io.Discard, ErrWriter: io.Discard,
		HideHelp: true, // parallel parsers would share the one help flag of the library
		Action: func(c *urfave.Context) error {
			opts, err = limitOptions(c)
			return err
		},
	}
	return opts, app.Run(append([]string{"run"}, args...))
}

func TestLimitFlagsNameFunctions(t *testing.T) {
	t.Parallel()
	opts, err := parsedLimits("--limit", "inc=100/s", "--limit", "double=5/30s", "--max", "inc=4", "inc", "double")
	if err != nil || len(opts) != 2 || len(opts["inc"]) != 2 || len(opts["double"]) != 1 {
		t.Errorf("the options are %v, %v", opts, err)
	}
	if opts, err := parsedLimits("inc"); err != nil || len(opts) != 0 {
		t.Errorf("without flags: %v, %v", opts, err)
	}
}

func TestBadLimitFlagsAreMistakes(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--limit inc inc":                       "--limit inc: write FN=N/TIME",
		"--max inc inc":                         "--max inc: write FN=N",
		"--limit inc=100 inc":                   "write a number of calls",
		"--limit inc=0/s inc":                   "of at least 1",
		"--limit inc=-1/s inc":                  "of at least 1",
		"--limit inc=x/s inc":                   "write a number of calls",
		"--limit inc=1/ inc":                    "a time above 0",
		"--limit inc=1/0s inc":                  "a time above 0",
		"--limit inc=1/fortnight inc":           "a time above 0",
		"--max inc=0 inc":                       "the number must be at least 1",
		"--max inc=2/s inc":                     "the number must be at least 1",
		"--max icn=2 inc":                       `"icn" is none of the functions of this run`,
		"--limit inc=1/s --limit inc=2/s inc":   "inc has a value already",
		"--max inc=1 --max inc=1 inc":           "inc has a value already",
		"--limit inc=1/s --limit double=1s inc": `"double" is none of the functions`,
	} {
		if _, err := parsedLimits(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run %s: %v, not %s", args, err, want)
		}
	}
}
