package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

// configured runs a command line with a configuration file, and returns what its flags are.
func configured(t *testing.T, config string, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	got := ""
	verb := func(name string, flags ...urfave.Flag) *urfave.Command {
		return &urfave.Command{
			Name: name, Flags: append(flags, ConfigFlag(), RedisFlag("none"), VerboseFlag()),
			Action: func(c *urfave.Context) error {
				got = fmt.Sprintln(c.Int("jobs"), c.StringSlice("fn"), c.String("redis"), c.Bool("verbose"))
				return nil
			},
		}
	}
	a := &urfave.App{Name: "app", Flags: []urfave.Flag{VersionFlag()}, Commands: []*urfave.Command{
		verb("run", FnFlag(), &urfave.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: 1}), verb("list"),
	}}
	err := Parse(t.Context(), a, append([]string{"app", "--config", path}, args...))
	return strings.TrimSuffix(got, "\n"), err
}

func TestFlagsPrecedeTheEnvironmentAndThatTheFile(t *testing.T) {
	t.Setenv("DQBRIDGE_REDIS", "")
	file := "jobs: 3\nredis: of-file\nfn: {a: 'exec:x {}', b: 'pipe:y, z'}\n"
	check := func(config, want string, args ...string) {
		t.Helper()
		if got, err := configured(t, config, args...); got != want || err != nil {
			t.Errorf("%v: %q, %v, not %q", args, got, err, want)
		}
	}
	check(file, "3 [a=exec:x {} b=pipe:y, z] of-file false", "run")
	check(file, "4 [c=exec:z] of-flag true", "run", "-j4", "--fn", "c=exec:z", "--redis", "of-flag", "-v")
	check(file, "0 [] of-file false", "list")
	check(file+"run:\n  jobs: 5\n  fn: [d=exec:w]\nlist: {verbose: true}", "5 [d=exec:w] of-file false", "run")
	check(file+"list: {verbose: true}", "0 [] of-file true", "list")
	check("# nothing\n", "1 [] of-flag false", "run", "--redis", "of-flag")
	t.Setenv("DQBRIDGE_REDIS", "of-environment")
	check(file, "3 [a=exec:x {} b=pipe:y, z] of-environment false", "run")
	check(file, "3 [a=exec:x {} b=pipe:y, z] of-flag false", "run", "--redis", "of-flag")
}

func TestMistakesInAFileHaveALine(t *testing.T) {
	for config, want := range map[string]string{
		"verbose: true\njbos: 3":     `line 2: unknown key "jbos": did you mean jobs?`,
		"jobs: many":                 `line 1: jobs: "many" is not valid`,
		"jobs: [1, 2]":               "line 1: jobs: it has no value, or one that is no text",
		"jobs:":                      "line 1: jobs: it has no value",
		"jobs: 1\nverbose: a\n":      `line 2: verbose: "a" is not valid`,
		"jobs: 1\n\njobs: 2":         `line 3: the key "jobs" is in line 1 too`,
		"list:\n  jobs: 2":           `line 2: unknown key "jobs": there are redis, verbose`,
		"- jobs":                     "line 1: it is no mapping of flags to values",
		"jobs: 1\n---\njobs: 2\n":    "more than one document",
		"jobs: 'a":                   "c.yaml: found unexpected end of stream",
		"jobs: 1\n  fn: 2":           "c.yaml: line 2: mapping values are not allowed",
		"config: x":                  `unknown key "config"`,
		"j: 3":                       `line 1: unknown key "j"`,
		"redis: '@/no/such/file'":    "--redis @FILE: open /no/such/file",
		"fn: {a: {b: c}}":            "line 1: fn: it has no value, or one that is no text",
		"jobs: &a 3\nverbose: *a\n":  `line 2: verbose: "3" is not valid`,
		"lst: {verbose: true}":       `line 1: unknown key "lst": did you mean list?`,
		"run: {verbose: true, x: 1}": `line 1: unknown key "x"`,
	} {
		if _, err := configured(t, config, "run"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, not %q", config, err, want)
		}
	}
	if _, err := configured(t, "", "run", "--config", "/no/such/file"); err == nil || !strings.Contains(err.Error(), "--config: open /no/such/file") {
		t.Error(err)
	}
}

func TestTheAddressMayBeInAFile(t *testing.T) {
	t.Setenv("DQBRIDGE_REDIS", "")
	path := filepath.Join(t.TempDir(), "address")
	for text, want := range map[string]string{
		"redis://host:6379\n": "1 [] redis://host:6379 false",
		"\n":                  "must have one line",
		"a\nb":                "must have one line",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := configured(t, "", "run", "--redis", "@"+path)
		if got != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %q, %v, not %q", text, got, err, want)
		}
	}
}
