package cli

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	urfave "github.com/urfave/cli/v2"
)

type fruit struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
	Age  time.Duration
}

var fruits = []fruit{{"plum/red", 9, -1}, {"fig", 10, time.Minute}, {"melon\x1b[2J", 100, time.Second}}

var fruitColumns = []Column[fruit]{
	{Head: "NAME", Cell: func(f fruit) any { return f.Name }},
	{Head: "SIZE", Cell: func(f fruit) any { return f.Size }},
	{Head: "AGE", Cell: func(f fruit) any { return Age(f.Age) }},
	{Head: "TWICE", Wide: true, Cell: func(f fruit) any { return 2 * f.Size }},
}

// listing returns the context of a verb with flags, and its output.
func listing(t *testing.T, ctx context.Context, args ...string) (*urfave.Context, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	set := flag.NewFlagSet("list", flag.ContinueOnError)
	for _, f := range WatchFlags() {
		if err := f.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	c := urfave.NewContext(&urfave.App{Writer: &out}, set, nil)
	c.Context = ctx
	return c, &out
}

func TestListFiltersSortsAndLimits(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                              "NAME SIZE AGE|plum/red 9 -|fig 10 1m0s|melon\\x1b[2J 100 1s",
		"--sort size":                   "NAME SIZE AGE|plum/red 9 -|fig 10 1m0s|melon\\x1b[2J 100 1s",
		"--sort -size --limit 2":        "NAME SIZE AGE|melon\\x1b[2J 100 1s|fig 10 1m0s",
		"--sort age":                    "NAME SIZE AGE|plum/red 9 -|melon\\x1b[2J 100 1s|fig 10 1m0s",
		"--sort NAME":                   "NAME SIZE AGE|fig 10 1m0s|melon\\x1b[2J 100 1s|plum/red 9 -",
		"--filter *red":                 "NAME SIZE AGE|plum/red 9 -",
		"--filter 1?":                   "NAME SIZE AGE|fig 10 1m0s|melon\\x1b[2J 100 1s",
		"--filter 18":                   "NAME SIZE AGE",
		"--filter 18 --wide":            "NAME SIZE AGE TWICE|plum/red 9 - 18",
		"--filter plum":                 "NAME SIZE AGE",
		"--wide --limit 1":              "NAME SIZE AGE TWICE|plum/red 9 - 18",
		"--json --limit 1":              `[{"name":"plum/red","size":9,"Age":-1}]`,
		"--json --filter nothing":       `[]`,
		"--json --sort -twice -limit 1": `[{"name":"melon\u001b[2J","size":100,"Age":1000000000}]`,
	} {
		c, out := listing(t, t.Context(), strings.Fields(args)...)
		if err := List(c, fruits, fruitColumns...); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		var lines []string
		for line := range strings.Lines(out.String()) {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
		if got := strings.Join(lines, "|"); got != want {
			t.Errorf("%s: got %s, not %s", args, got, want)
		}
	}
	if fruits[0].Name != "plum/red" {
		t.Error("the rows of the caller are sorted")
	}
}

func TestListReportsMistakes(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--sort color":            "there is no such column: use one of name, size, age, twice",
		"--filter [":              "syntax error in pattern",
		"--limit -1":              "must not be negative",
		"--watch --every 1ms":     "must be at least 100ms",
		"--watch --every 0s":      "must be at least 100ms",
		"--watch --sort -nothing": "no such column",
	} {
		c, out := listing(t, t.Context(), strings.Fields(args)...)
		err := Watch(c, func(context.Context) ([]fruit, []Column[fruit], error) { return fruits, fruitColumns, nil })
		if _, usage := errors.AsType[Usage](err); !usage || !strings.Contains(err.Error(), want) || strings.Contains(out.String(), "fig") {
			t.Errorf("%s: %v, and printed %q", args, err, out)
		}
	}
}

// Each list follows a line with the time, or is a line of JSON.
func TestWatchRepeatsUntilTheEnd(t *testing.T) {
	t.Parallel()
	for _, flags := range []string{"--watch --every 100ms", "--watch --every 100ms --json"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c, out := listing(t, ctx, strings.Fields(flags)...)
		enough, looks := errors.New("enough"), 0
		err := Watch(c, func(context.Context) ([]fruit, []Column[fruit], error) {
			if looks++; looks == 3 {
				cancel(enough)
			}
			return []fruit{{Name: fmt.Sprint("look", looks)}}, fruitColumns, nil
		})
		if !errors.Is(err, enough) || looks != 3 {
			t.Errorf("%s: %d looks, %v", flags, looks, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		switch {
		case strings.Contains(flags, "json"):
			if len(lines) != 3 || !strings.HasPrefix(lines[2], `[{"name":"look3"`) {
				t.Errorf("%s: printed %q", flags, lines)
			}
		case len(lines) != 9 || !strings.HasPrefix(lines[6], "# 20") || !strings.HasPrefix(lines[8], "look3"):
			t.Errorf("%s: printed %q", flags, lines)
		}
	}
}

// A table that is wider than the terminal loses the ends of its widest cells, and numbers stay whole.
func TestWideTableIsCut(t *testing.T) {
	t.Parallel()
	long, longer := strings.Repeat("ü", 30), strings.Repeat("ä", 40)
	columns := []Column[fruit]{fruitColumns[0], {Head: "MORE", Cell: func(fruit) any { return longer }}, fruitColumns[1]}
	for cut, want := range map[int]string{
		80: long + "  " + longer + "  1\n",
		78: long + "  " + longer + "  1\n",
		70: long + "  " + longer[:2*31] + "…  1\n",
		40: long[:2*15] + "…  " + longer[:2*15] + "…  1\n",
		10: long[:2*7] + "…  " + longer[:2*7] + "…  1\n", // no cell gets narrower
	} {
		var out bytes.Buffer
		if err := WriteTable(&out, []fruit{{Name: long, Size: 1}}, columns, cut); err != nil || !strings.HasSuffix(out.String(), want) {
			t.Errorf("in %d columns: %v\n%s", cut, err, &out)
		}
	}
}
