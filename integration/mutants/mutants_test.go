//go:build mutants

// Package mutants breaks the protocol, one rule at a time, and wants a test to
// notice. It is slow, since it builds the module for each: make mutants.
package mutants

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A mutant is a protocol with one mistake in it.
type mutant struct {
	name string
	file string
	from string
	n    int // times that from is there, 1 if it is 0
	to   string
	pkg  string // whose tests have to notice
	run  string // which of them
}

// notices is how long the tests of a mutant may take: one that hangs is noticed too.
const notices = time.Minute

func TestMutants(t *testing.T) {
	root := moduleCopy(t)
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			path := filepath.Join(root, m.file)
			sound, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(sound), m.from); n != max(1, m.n) {
				t.Fatalf("%s has the text %d times: the mutant has to be written anew:\n%s", m.file, n, m.from)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(sound), m.from, m.to)), 0o600); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := os.WriteFile(path, sound, 0o600); err != nil {
					t.Fatal(err)
				}
			}()
			m.mustBeNoticed(t, root)
		})
	}
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

func (m mutant) mustBeNoticed(t *testing.T, root string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), notices)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-failfast", "-run", m.run, "./"+m.pkg)
	if m.pkg == "internal/broker" {
		cmd.Args = append(cmd.Args, "-rapid.nofailfile", "-rapid.shrinktime=1s")
	}
	cmd.Dir, cmd.WaitDelay = root, 10*time.Second
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Logf("noticed: the tests hang")
	case strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]"):
		t.Fatalf("it does not build:\n%s", out)
	case strings.Contains(string(out), "no tests to run"):
		t.Fatalf("no test of %s is called %s", m.pkg, m.run)
	case errors.As(err, &exit):
		if by := failed.FindAllStringSubmatch(string(out), -1); by != nil {
			t.Logf("noticed by %s", by[len(by)-1][1])
		} else {
			t.Logf("noticed:\n%s", out)
		}
	case err != nil:
		t.Fatal(err)
	default:
		t.Errorf("it survives")
	}
}

// moduleCopy copies what is under version control, as it stands.
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
