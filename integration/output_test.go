package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// outputLines is more than a pipe and two buffers of a command hold.
const outputLines = 200_000

// lines returns the output of seq 1 n.
func lines(n int) []byte {
	var b []byte
	for i := 1; i <= n; i++ {
		b = append(strconv.AppendInt(b, int64(i), 10), '\n')
	}
	return b
}

// A shell runs commands of the project in a namespace of its own.
type shell struct {
	t   *testing.T
	url string
}

// start starts a command. before is shell code in front of it, such as a limit.
func (s shell) start(before string, out *os.File, in io.Reader, args ...string) (*exec.Cmd, *bytes.Buffer) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", before + ` exec dqbridge "$@"`, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+s.url)
	var told bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &told
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd, &told
}

// end returns the exit status, or -1 after a signal that the command did not handle.
func (s shell) end(cmd *exec.Cmd) int {
	s.t.Helper()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		s.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// file returns an empty file for output.
func file(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// written returns the complete lines of a file as numbers, in their order.
func written(t *testing.T, f *os.File) []int {
	t.Helper()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var numbers []int
	for line := range strings.Lines(string(text)) {
		n, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatalf("a line that is none: %v", err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

// fill writes into a pipe until it is full.
func fill(t *testing.T, w *os.File) {
	t.Helper()
	block := make([]byte, 4096)
	for {
		if err := w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(block); errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A line of `dqbridge gather` is delivered when it is written. However the command ends, the next
// gather prints the lines that were not written.
func TestGatherDeliversWrittenLines(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	size := len(lines(outputLines))
	for name, c := range map[string]struct {
		before string
		out    string // a device; "": a file
		status int    // -1: killed
		stop   os.Signal
		told   string
	}{
		"ENOSPC": {out: "/dev/full", status: 1, told: "no space left on device"},
		"EFBIG":  {before: fmt.Sprintf("ulimit -f %d;", 1+rand.IntN(size/1024)), status: 1, told: "file too large"},
		"TERM":   {status: 143, stop: syscall.SIGTERM},
		"KILL":   {status: -1, stop: syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := os.Stat(c.out); c.out != "" && err != nil {
				t.Logf("%v: written to a file", err)
				c.out, c.status, c.told = "", 0, ""
			}
			s := shell{t, server.URL() + "/?ns=" + testkit.Namespace(t)}
			s.watch()
			s.scatter(outputLines)
			first, second := file(t), file(t)
			out := first
			if c.out != "" {
				var err error
				if out, err = os.OpenFile(c.out, os.O_WRONLY, 0); err != nil {
					t.Fatal(err)
				}
				defer out.Close()
			}
			cmd, told := s.start(c.before, out, nil, "gather", "q")
			if c.stop != nil {
				at := int64(rand.IntN(size))
				t.Logf("stopped after %d bytes", at)
				testkit.Eventually(t, func() bool {
					info, err := first.Stat()
					return err == nil && info.Size() >= at
				}, "enough is written")
				if err := cmd.Process.Signal(c.stop); err != nil {
					t.Logf("it has ended: %v", err)
				}
			}
			got := s.end(cmd)
			if before := written(t, first); got != c.status && (got != 0 || len(before) != outputLines) || !strings.Contains(told.String(), c.told) {
				t.Errorf("exit status %d, not %d, with %d lines; on stderr: %s", got, c.status, len(before), told)
			}
			s.rest(second)
			all := append(written(t, first), written(t, second)...)
			slices.Sort(all)
			if all = slices.Compact(all); len(all) != outputLines {
				t.Errorf("%d of %d lines are in one of two outputs", len(all), outputLines)
			}
		})
	}
}

// watch starts a process that can be the watcher.
func (s shell) watch() {
	s.t.Helper()
	lives, err := executor.New(s.t.Context(), s.url, executor.Lease(3*time.Second), executor.Logger(slog.New(slog.DiscardHandler)))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := lives.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// scatter fills the queue q and seals it.
func (s shell) scatter(n int) {
	s.t.Helper()
	cmd, told := s.start("", nil, bytes.NewReader(lines(n)), "scatter", "--seal", "q")
	if status := s.end(cmd); status != 0 {
		s.t.Fatalf("scatter: %d: %s", status, told)
	}
}

// rest gathers the rest of q. The gather before it may still have the queue.
func (s shell) rest(to *os.File) {
	s.t.Helper()
	testkit.Eventually(s.t, func() bool {
		cmd, told := s.start("", to, nil, "gather", "q")
		status := s.end(cmd)
		if status != 0 && !strings.Contains(told.String(), "has a consumer") {
			s.t.Fatalf("the second gather: %d: %s", status, told)
		}
		return status == 0
	}, "the queue is free")
}

// If the reader of the output leaves, the exit status and stderr report it, with the number of
// lines written. The next gather begins after them, or before.
func TestClosedOutputIsReportedWithoutLoss(t *testing.T) {
	t.Parallel()
	s := shell{t, testkit.StartRedis(t).URL() + "/?ns=" + testkit.Namespace(t)}
	s.scatter(outputLines)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd, told := s.start("", w, nil, "gather", "q")
	_, err = io.ReadFull(r, make([]byte, 100_000))
	if err := errors.Join(err, r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	status, number := s.end(cmd), 0
	if _, err := fmt.Sscanf(told.String(), "dqbridge: stdout is closed; lines written: %d", &number); status != 141 || err != nil {
		t.Fatalf("exit status %d; on stderr: %s", status, told)
	}
	second := file(t)
	s.rest(second)
	if got := written(t, second); len(got) == 0 || got[0] > number+1 || !slices.Equal(got, count(got[0], outputLines)) {
		t.Errorf("behind %d lines come %d, from %v on", number, len(got), got[:min(1, len(got))])
	}
}

func count(from, to int) (all []int) {
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

// A run whose output cannot be written does not succeed.
func TestRunReportsFailedWrites(t *testing.T) {
	t.Parallel()
	input := lines(outputLines)
	for _, before := range []string{"ulimit -f 16;", "ulimit -f 300;"} {
		s, out := shell{t, ""}, file(t)
		cmd, told := s.start(before, out, bytes.NewReader(input), "run", "upper")
		if status := s.end(cmd); status != 1 || !strings.Contains(told.String(), "file too large") {
			t.Errorf("%s exit status %d; on stderr: %s", before, status, told)
		}
		text, err := os.ReadFile(out.Name())
		if err != nil || !bytes.HasPrefix(input, text) || !bytes.HasSuffix(text, []byte("\n")) {
			t.Errorf("%s %d bytes, %v, that end with %q", before, len(text), err, text[max(0, len(text)-10):])
		}
	}
	s := shell{t, ""}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd, told := s.start("", w, bytes.NewReader(input), "run", "upper")
	_, err = io.ReadFull(r, make([]byte, 1))
	if err := errors.Join(err, r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if status := s.end(cmd); status != 141 || told.Len() > 0 { // as other filters end
		t.Errorf("exit status %d; on stderr: %s", status, told)
	}
}

// A command with a blocked stdout ends on SIGTERM as usual, and leaves no key.
func TestTermEndsBlockedCommand(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	for _, verb := range []string{"run", "gather"} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			ns := testkit.Namespace(t)
			s := shell{t, server.URL() + "/?ns=" + ns}
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			fill(t, w)
			var in io.Reader
			args := []string{"run", "upper", "double", "--fn", "double=pipe:cat", "--fn", "upper=pipe:cat"}
			if verb == "gather" {
				s.scatter(outputLines)
				args = []string{"gather", "q"}
			} else {
				var feed *os.File
				if in, feed, err = os.Pipe(); err != nil {
					t.Fatal(err)
				}
				defer feed.Close() // closed only afterwards: its end would end the input
				if _, err := feed.Write(lines(5000)); err != nil {
					t.Fatal(err)
				}
			}
			cmd, told := s.start("", w, in, args...)
			testkit.Eventually(t, func() bool { return blocked(t, cmd.Process.Pid) }, "its output is blocked")
			began := time.Now()
			if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), w.Close()); err != nil {
				t.Fatal(err)
			}
			if status := s.end(cmd); status != 143 || told.Len() > 0 {
				t.Errorf("exit status %d after %v; on stderr: %s", status, time.Since(began), told)
			}
			if verb == "gather" {
				second := file(t)
				s.rest(second)
				if got := written(t, second); !slices.Equal(got, count(1, outputLines)) {
					t.Errorf("%d of %d lines come from the next gather", len(got), outputLines)
				}
				return
			}
			if left := testkit.Keys(t, server.URL(), "{"+ns+":0}:*"); len(left) > 0 {
				t.Errorf("keys are left: %v", left)
			}
		})
	}
}

// blocked reports whether a thread of a process blocks in a write to a full pipe. Without /proc it
// reports true.
func blocked(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		if text, err := os.ReadFile(thread); err == nil && strings.Contains(string(text), "pipe_write") {
			return true
		}
	}
	return len(threads) == 0
}
