package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// cancel ends the process of a command. Its item is a failure, and the only slot of the worker runs
// the item behind it.
func TestCancelKillsTheCommand(t *testing.T) {
	t.Parallel()
	s, folder := newSite(t), t.TempDir()
	pids := filepath.Join(folder, "pids")
	s.worker(t, "--concurrency", "1", "--fn", fmt.Sprintf(`hang=exec:read x; [ "$x" = b ] || { echo $x; exit; }; echo $$ >>%s; exec sleep 1000`, pids))
	s.run(t, "a\nb\nc\n", "dqbridge", "scatter", "--source", "letters", "--seal", "in")
	s.run(t, "", "dqbridge", "map", "hang", "in", "out")
	testkit.Eventually(t, func() bool { return len(called(t, folder)) == 1 }, "the function runs")
	cancel := func() bool { // the worker shows a call that has run for a second
		return s.command(t, "dqbridge", "cancel", "--yes", "--reason", "it hangs", "letters", "1").Run() == nil
	}
	testkit.Eventually(t, cancel, "the item is canceled")
	testkit.Eventually(t, func() bool { return !isRunning(called(t, folder)[0]) }, "its process is killed")
	out, _ := s.command(t, "dqbridge", "gather", "out").CombinedOutput() // an item has failed
	if text := string(out); !strings.Contains(text, "a\n") || !strings.Contains(text, "c\n") || !strings.Contains(text, "canceled by an operator") {
		t.Errorf("the results are %q", text)
	}
	if n := len(called(t, folder)); n != 1 {
		t.Errorf("the function ran %d times on the item", n)
	}
	if text := s.run(t, "", "dqbridge", "history"); !strings.Contains(text, "item letters 1") || !strings.Contains(text, "it hangs") {
		t.Errorf("the acts are %q", text)
	}
}
