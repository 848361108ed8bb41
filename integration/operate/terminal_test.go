//go:build tmux

package operate

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A window is a terminal of tmux with one command.
type window struct {
	t      *testing.T
	socket string
}

func (w window) tmux(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "tmux", append([]string{"-S", w.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("tmux %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// open runs a command in a terminal, until the test ends.
func (s site) open(width, height, command string) window {
	s.t.Helper()
	w := window{s.t, filepath.Join(s.t.TempDir(), "tmux")}
	w.tmux("-u", "new-session", "-d", "-x", width, "-y", height, "-e", "DQBRIDGE_REDIS="+s.server.URL(), command)
	s.t.Cleanup(func() { _ = exec.Command("tmux", "-S", w.socket, "kill-server").Run() }) // it may have ended with its command
	return w
}

// Each screen of top fits a small terminal and a large one, and each list the large one: no line goes on
// in the next one.
func TestPlantedFlowsFitTerminal(t *testing.T) {
	s := newSite(t)
	s.worker("--fn", failing, "--fn", slowly)
	name := strings.Repeat("long-name-", 6)
	s.do(numbers(500), "scatter", name+"in")
	s.do("", "map", "slowly", name+"in", name+"mid")
	s.do("", "map", "failing", name+"mid", name+"out")
	s.eventuallyShows("failing", "errors")
	for _, size := range [][2]string{{"80", "24"}, {"200", "50"}} {
		w := s.open(size[0], size[1], "dqbridge top")
		for _, key := range []string{"1", "2", "3", "4", "5", "?"} {
			w.tmux("send-keys", key)
			w.settles(key)
		}
		w.tmux("kill-server")
		if size[0] == "80" { // numbers alone may need more, as those of stages
			continue
		}
		for _, list := range []string{"flows", "queues", "stages", "sources", "gathers", "workers", "functions", "errors", "dead list"} {
			w := s.open(size[0], size[1], "dqbridge "+list+"; sleep 1000")
			w.settles(list)
			w.tmux("kill-server")
		}
	}
}

// settles waits until a screen shows something, and checks that none of its lines goes on in the next one.
func (w window) settles(what string) {
	w.t.Helper()
	testkit.Eventually(w.t, func() bool { return strings.TrimSpace(w.tmux("capture-pane", "-p")) != "" }, what+" is shown")
	<-time.After(500 * time.Millisecond) // for the rest of it
	lines := strings.Count(w.tmux("capture-pane", "-p"), "\n")
	if joined := strings.Count(w.tmux("capture-pane", "-p", "-J"), "\n"); joined != lines {
		w.t.Errorf("%s: %d of %d lines are the rest of another one:\n%s", what, lines-joined, lines, w.tmux("capture-pane", "-p"))
	}
}
