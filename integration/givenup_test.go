package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A site is a Redis with a namespace for commands.
type site struct {
	url, namespace string
	raw            *redis.Client
}

func newSite(t *testing.T) site {
	t.Helper()
	s := site{namespace: "n" + testkit.Namespace(t)[len(testkit.Namespace(t))-10:]}
	server := testkit.SharedRedis(t)
	s.url = server.URL() + "/?ns=" + s.namespace
	s.raw = redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = s.raw.Close() })
	return s
}

// command returns a dqbridge or dqworker of the site. It is killed at the end of the test.
func (s site) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+s.url)
	return cmd
}

// run runs a command, which must succeed, and returns its output.
func (s site) run(t *testing.T, in string, args ...string) string {
	t.Helper()
	cmd := s.command(t, args...)
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

// worker starts a dqworker, which is terminated at the end of the test.
func (s site) worker(t *testing.T, args ...string) {
	t.Helper()
	cmd := s.command(t, append([]string{"dqworker"}, args...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context of the test kills it
	testkit.Eventually(t, func() bool {
		return s.raw.ZCard(t.Context(), "{"+s.namespace+":0}:workers").Val() == 1
	}, "the worker joins")
}

// keys returns the keys without a lifetime, except some.
func (s site) keys(t *testing.T, but ...string) []string {
	t.Helper()
	all := testkit.Keys(t, "redis://"+s.raw.Options().Addr, "{"+s.namespace+":0}:*")
	return slices.DeleteFunc(all, func(key string) bool {
		return slices.Contains(but, key) || s.raw.PTTL(t.Context(), key).Val() != -1
	})
}

// hangs returns the specification of a function that writes its process id to a file and never
// returns.
func hangs(folder string) string {
	return "hang=exec:echo $$ >>" + filepath.Join(folder, "pids") + "; exec sleep 1000"
}

// called returns the processes of hangs so far.
func called(t *testing.T, folder string) (pids []int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "pids"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func isRunning(pid int) bool { return syscall.Kill(pid, 0) == nil }

// A command that removes or changes a stage ends the processes that run its items. An item runs
// again if its queue still exists. Otherwise the only slot of the worker runs the items of another
// flow.
func TestCommandsEndRunningFunctions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command string
		again   bool   // the function runs again
		results string // the results if it does not
	}{
		"in-deleted":  {command: "delete --yes numbers"},
		"out-deleted": {command: "delete --yes results"},
		"timeout":     {command: "map --timeout 1h hang numbers results", again: true},
		"replaced":    {command: "map --replace upper numbers results", results: "A\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, folder := newSite(t), t.TempDir()
			s.worker(t, "--concurrency", "1", "--fn", hangs(folder))
			s.run(t, "a\n", "dqbridge", "scatter", "--seal", "numbers")
			s.run(t, "", "dqbridge", "map", "hang", "numbers", "results")
			testkit.Eventually(t, func() bool { return len(called(t, folder)) == 1 }, "the function runs")
			s.run(t, "", append([]string{"dqbridge"}, strings.Fields(c.command)...)...)
			testkit.Eventually(t, func() bool { return !isRunning(called(t, folder)[0]) }, "its process is killed")
			switch {
			case strings.HasPrefix(name, "in-"), strings.HasPrefix(name, "out-"):
				if got := s.run(t, "a\n", "dqbridge", "run", "upper"); got != "A\n" {
					t.Errorf("results of another flow: %q", got)
				}
			case c.again:
				testkit.Eventually(t, func() bool { return len(called(t, folder)) == 2 }, "the function runs again")
			case c.results != "":
				if got := s.run(t, "", "dqbridge", "gather", "results"); got != c.results {
					t.Errorf("results: %q", got)
				}
			}
		})
	}
}

// fullPipe returns the end of a full pipe without a reader: each write blocks.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	conn, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(func(fd uintptr) bool {
		for err == nil {
			_, err = syscall.Write(int(fd), make([]byte, 4096))
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// blockedCommands block on their stdout, or, as scatter has no output, on a full queue.
var blockedCommands = map[string]struct {
	before  string // a command that gets the lines
	command string // gets the lines if before is empty
	named   bool   // the queue stays until it is deleted
	keys    int    // lowest number of keys while it is blocked
}{
	"run":     {command: "run inc", keys: 8},
	"gather":  {before: "scatter --seal numbers", command: "gather numbers", named: true, keys: 3},
	"scatter": {command: "scatter --max 10 numbers", named: true, keys: 5},
}

// A command is stopped or killed while its output is blocked. Another process of the namespace
// removes all its keys from Redis.
func TestBlockedCommandLeavesNoKeys(t *testing.T) {
	t.Parallel()
	lines := strings.Repeat("1\n", 50_000)
	for name, c := range blockedCommands {
		for _, signals := range [][]syscall.Signal{{syscall.SIGTERM}, {syscall.SIGTERM, syscall.SIGKILL}, {syscall.SIGKILL}} {
			t.Run(fmt.Sprint(name, len(signals), signals[0]), func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.worker(t)
				before := append(s.keys(t), s.key("watcher")) // of the worker, after its next heartbeat
				if c.before != "" {
					s.run(t, lines, append([]string{"dqbridge"}, strings.Fields(c.before)...)...)
				}
				others := s.keys(t)
				cmd := s.command(t, append([]string{"dqbridge"}, strings.Fields(c.command)...)...)
				cmd.Stdin, cmd.Stdout = strings.NewReader(lines), fullPipe(t)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				testkit.Eventually(t, func() bool { return len(s.keys(t, others...)) >= c.keys }, "the command is blocked")
				for _, signal := range signals {
					if err := cmd.Process.Signal(signal); err != nil {
						t.Fatal(err)
					}
				}
				_ = cmd.Wait()
				testkit.Eventually(t, func() bool {
					return s.raw.ZCard(t.Context(), s.key("executors")).Val() == 0
				}, "the command has left or is declared dead")
				if c.named {
					s.run(t, "", "dqbridge", "delete", "--yes", "numbers")
				}
				var left []string
				defer func() {
					if len(left) > 0 {
						t.Errorf("keys are left: %q", left)
					}
				}()
				testkit.Eventually(t, func() bool {
					s.endGrace(t)
					left = s.keys(t, append(before, s.key("acts"))...) // the record of the deletion stays
					return len(left) == 0
				}, "no key is left")
			})
		}
	}
}

func (s site) key(name string) string { return "{" + s.namespace + ":0}:" + name }

// endGrace ends the grace period for queues of dead executors. Their entries in fenced begin with
// the time of death.
func (s site) endGrace(t *testing.T) {
	t.Helper()
	for mark, entry := range s.raw.HGetAll(t.Context(), s.key("fenced")).Val() {
		if at, rest, found := strings.Cut(entry, " "); found && at != "0" {
			if err := s.raw.HSet(t.Context(), s.key("fenced"), mark, "0 "+rest).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
