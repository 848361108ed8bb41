package command

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	for words, want := range map[string]string{
		"echo":                  "echo 'a b' dir/c.txt",
		"echo {}":               "echo 'a b' dir/c.txt",
		"cp {2} {2.}.bak":       "cp dir/c.txt dir/c.bak",
		"echo {2/} {2//} {2/.}": "echo c.txt dir c",
		"echo {-1} {-2} {-3}":   "echo dir/c.txt 'a b' ",
		"echo {1}{3}":           "echo 'a b'",
		"echo {name} {name.}":   "echo dir/c.txt dir/c",
		"echo {#} {%}":          "echo 7 1",
		`echo "{1}"`:            `echo "'a b'"`,
		"echo {0} {other} {}":   "echo {0} {other} 'a b' dir/c.txt",
		"awk '{print}' {2}":     "awk '{print}' dir/c.txt",
		"echo {/}":              "echo 'a b' c.txt",
	} {
		l, err := ParseLine(strings.Split(words, " "), []string{"first", "name"})
		if err != nil {
			t.Errorf("%q: %v", words, err)
			continue
		}
		got, release, err := l.Expand([]string{"a b", "dir/c.txt"}, 7)
		if err != nil || got != want {
			t.Errorf("%q: %q, %v, not %q", words, got, err, want)
			continue
		}
		release()
	}
}

func TestLineWithoutWordsIsTheValue(t *testing.T) {
	l, err := ParseLine(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := l.Expand([]string{"echo 'x y' | wc"}, 1); got != "echo 'x y' | wc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLineRefusesNUL(t *testing.T) {
	l, err := ParseLine([]string{"echo"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := l.Expand([]string{"a\x00b"}, 1); !errors.Is(err, errNUL) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLineReusesReleasedSlots(t *testing.T) {
	l, err := ParseLine([]string{"{%}"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, release, _ := l.Expand(nil, 1)
	second, _, _ := l.Expand(nil, 2)
	release()
	third, _, _ := l.Expand(nil, 3)
	if first != "1" || second != "2" || third != "1" {
		t.Errorf("slots %s, %s, %s", first, second, third)
	}
}

func TestShell(t *testing.T) {
	set, err := New(nil, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	for line, want := range map[string]Run{
		"echo a; echo b >&2; exit 3": {Exit: 3, Stdout: []byte("a\n"), Stderr: []byte("b\n")},
		"cat":                        {},
		"kill -KILL $$":              {Signal: 9},
	} {
		got, err := set.Shell(t.Context(), line)
		if err != nil || got.Exit != want.Exit || got.Signal != want.Signal ||
			string(got.Stdout) != string(want.Stdout) || string(got.Stderr) != string(want.Stderr) {
			t.Errorf("%q: %+v, %v, not %+v", line, got, err, want)
		}
	}
}

func TestShellEndsWithItsContext(t *testing.T) {
	set, err := New(nil, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if run, err := set.Shell(ctx, "sleep 1000"); !errors.Is(err, enough) {
		t.Errorf("%+v, %v", run, err)
	}
}
