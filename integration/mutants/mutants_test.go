//go:build mutants

// Package mutants breaks the protocol, one rule at a time, and expects a test to fail. It is slow,
// since it builds the module for each mutant: make mutants.
package mutants

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A mutant is a protocol with one mistake.
type mutant struct {
	name string
	file string
	from string
	n    int // occurrences of from; 0: one
	to   string
	pkg  string // package of the tests that must fail
	run  string // these tests
	tags string // build tags; empty: none
}

const (
	// notices is the time limit for the tests of a mutant. A hang counts as a failure, if the same
	// tests pass within the limit without the mutant.
	notices = 50 * time.Second
	// builds is the time limit for building and running together.
	builds = 5 * time.Minute
)

// The text that each mutant changes is in its file, and the tests that have to notice it exist.
func TestTextsOfMutants(t *testing.T) {
	for _, m := range all {
		text, err := os.ReadFile(filepath.Join("../..", m.file))
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		if n := strings.Count(string(text), m.from); n != max(1, m.n) {
			t.Errorf("%s: %s has the text %d times: the mutant has to be written anew:\n%s", m.name, m.file, n, m.from)
		}
		for pattern := range strings.SplitSeq(m.run, "|") {
			if !slices.ContainsFunc(testsOf(t, m.pkg), regexp.MustCompile(pattern).MatchString) {
				t.Errorf("%s: no test of %s matches %q", m.name, m.pkg, pattern)
			}
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)`)

// testsOf returns the names of the tests of a package.
func testsOf(t *testing.T, pkg string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testFunc.FindAllStringSubmatch(string(text), -1) {
			names = append(names, found[1])
		}
	}
	return names
}

func TestMutants(t *testing.T) {
	root := moduleCopy(t)
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			path := filepath.Join(root, m.file)
			sound, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(sound), m.from, m.to)), 0o600); err != nil {
				t.Fatal(err)
			}
			hangs := m.mustBeNoticed(t, root)
			if err := os.WriteFile(path, sound, 0o600); err != nil {
				t.Fatal(err)
			}
			if hangs {
				m.mustPass(t, root)
			}
		})
	}
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// mustBeNoticed runs the tests of a mutant. hangs reports that they did not end.
func (m mutant) mustBeNoticed(t *testing.T, root string) (hangs bool) {
	t.Helper()
	out, err := m.test(t, root)
	var exit *exec.ExitError
	switch {
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		t.Errorf("it does not build:\n%s", out)
	case strings.Contains(out, "no tests to run"):
		t.Errorf("no test of %s is called %s", m.pkg, m.run)
	case strings.Contains(out, "panic: test timed out"):
		t.Log("noticed: a test hangs")
		return true
	case errors.As(err, &exit):
		if by := failed.FindAllStringSubmatch(out, -1); by != nil {
			t.Logf("noticed by %s", by[len(by)-1][1])
		} else {
			t.Logf("noticed:\n%s", out)
		}
	case err != nil:
		t.Error(err)
	default:
		t.Error("it survives")
	}
	return false
}

// mustPass runs the same tests without the mutant.
func (m mutant) mustPass(t *testing.T, root string) {
	t.Helper()
	if out, err := m.test(t, root); err != nil {
		t.Errorf("the tests fail without it as well: %v\n%s", err, out)
	}
}

// test runs the tests, which have their own time limit, and waits for them.
func (m mutant) test(t *testing.T, root string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), builds)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-failfast", "-tags", m.tags, "-timeout", notices.String(), "-run", m.run, "./"+m.pkg)
	if m.pkg == "internal/broker" {
		cmd.Args = append(cmd.Args, "-rapid.nofailfile", "-rapid.shrinktime=1s")
	}
	cmd.Dir, cmd.WaitDelay = root, 10*time.Second
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("it takes longer than %v", builds)
	}
	return string(text), err
}

// moduleCopy copies all files under version control, in their current state.
func moduleCopy(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = "../.."
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
