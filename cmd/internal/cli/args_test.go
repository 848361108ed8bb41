package cli

import (
	"slices"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

func testApp() *urfave.App {
	return &urfave.App{
		Name: "app", Flags: []urfave.Flag{VersionFlag()},
		Commands: []*urfave.Command{
			{Name: "run", Flags: []urfave.Flag{RedisFlag("embedded"), FnFlag(), VerboseFlag()}},
			{Name: "exec", Flags: []urfave.Flag{VerboseFlag(), &urfave.IntFlag{Name: "jobs", Aliases: []string{"j"}}}},
			{Name: "list", Flags: []urfave.Flag{JSONFlag()}},
		},
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	for given, want := range map[string]string{
		"run a b --redis x -v":       "app run --redis=x --verbose=true -- a b",
		"run --redis=x a -v b":       "app run --redis=x --verbose=true -- a b",
		"--redis x run a":            "app run --redis=x -- a",
		"-v run a --fn n=exec:true":  "app run --verbose=true --fn=n=exec:true -- a",
		"run -- --redis x":           "app run -- --redis x",
		"run a --":                   "app run -- a",
		"run -":                      "app run -- -",
		"list -json":                 "app list --json=true --",
		"list --json=false":          "app list --json=false --",
		"--help":                     "app --help",
		"run a --help":               "app run --help",
		"help run":                   "app run --help",
		"--version":                  "app --version=true --",
		"exec -v -- wc -l":           "app exec --verbose=true -- -- wc -l",
		"exec -j8 a -- b -- -v":      "app exec --jobs=8 -- a -- b -- -v",
		"run --fn a=exec:x --fn b=y": "app run --fn=a=exec:x --fn=b=y --",
	} {
		got, err := arrange(testApp(), "exec", append([]string{"app"}, strings.Fields(given)...))
		if err != nil || !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%q: %q, %v, not %q", given, got, err, want)
		}
	}
}

func TestMistakesHaveSuggestions(t *testing.T) {
	for given, want := range map[string]string{
		"":               "a verb is missing: there are exec, help, list, run",
		"rnu":            `unknown verb "rnu": did you mean run?`,
		"run --redsi x":  "unknown flag --redsi of run: did you mean --redis?",
		"list --redis x": "unknown flag --redis of list",
		"--json run":     "unknown flag --json of run",
		"run --redis":    "the flag --redis needs a value",
		"-z":             "unknown flag -z",
	} {
		_, err := arrange(testApp(), "exec", append([]string{"app"}, strings.Fields(given)...))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, not %q", given, err, want)
		}
	}
}
