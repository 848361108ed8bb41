package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A screen is a pseudo terminal with the output written to it.
type screen struct {
	user *os.File // the end to which the command writes
	keys *os.File // the end to which a person types

	mu   sync.Mutex
	text bytes.Buffer
}

func newScreen(t *testing.T, columns uint16) *screen {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	control := func(request uintptr, value unsafe.Pointer) {
		if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(value)); err != 0 {
			t.Fatal(err)
		}
	}
	var unlock, number int32
	size := [4]uint16{24, columns}
	control(syscall.TIOCSPTLCK, unsafe.Pointer(&unlock))
	control(syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	s := &screen{keys: master}
	if s.user, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.user.Close() })
	go func() {
		block := make([]byte, 4096)
		for {
			n, err := master.Read(block)
			s.mu.Lock()
			s.text.Write(block[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// run starts a run on the terminal; it lasts until the test ends it.
func (s *screen) run(t *testing.T, env []string, out *os.File, args ...string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "dqbridge", append([]string{"run"}, args...)...)
	cmd.Env = append(append(os.Environ(), "TERM=xterm", "NO_COLOR="), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, s.user
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("x\x1b]0;title\x07\n1\n2\n")); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		_ = in.Close()
		_ = cmd.Wait() // the exit status reports failed items
	}
}

const erase = "\r\x1b[K"

// The status line fits the terminal and is removed at the end. Control characters of items do not
// reach the terminal.
func TestStatusLineFitsTheTerminal(t *testing.T) {
	t.Parallel()
	fail := []string{"fail", "--fn", "fail=exec:cat >&2; exit 3"}
	for _, args := range [][]string{fail, append(fail, "-v"), append(fail, "--bar"), append(fail, "--eta"), {"--progress", "--", "echo {} >&2; exit 3"}} {
		s := newScreen(t, 20)
		end := s.run(t, nil, nil, args...)
		testkit.Eventually(t, func() bool { return strings.Count(s.String(), erase) > 2 }, "a status line is shown")
		end()
		testkit.Eventually(t, func() bool { return strings.Contains(s.String(), "items failed") }, "the command has ended")
		text := s.String()
		for part := range strings.SplitSeq(text, erase) {
			if line, _, _ := strings.Cut(part, "\r\n"); strings.Contains(line, " done") && !strings.Contains(line, "msg=") && len(line) > 19 {
				t.Errorf("%v: the status line %q has %d columns", args, line, len(line))
			}
		}
		if left := strings.ReplaceAll(text, erase, ""); strings.ContainsAny(left, "\x1b\x07") || !strings.Contains(left, `x\x1b]0;title\x07`) {
			t.Errorf("%v: %q", args, left)
		}
	}
}

// There is no status line on a terminal that cannot rewrite lines, if the user disables it, or
// without a terminal.
func TestNoStatusLineWithoutSuitableTerminal(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"TERM=dumb", "NO_COLOR=1"} {
		s, out := newScreen(t, 80), file(t)
		end := s.run(t, []string{env}, out, "--bar", "--", "sleep 0.5; echo {}")
		testkit.Eventually(t, func() bool { return fileSize(t, out) > 0 }, "a line is written")
		end()
		if strings.Contains(s.String(), "\x1b") || strings.Contains(s.String(), " done") {
			t.Errorf("%s: %q", env, s)
		}
	}
}

// The status line stays while lines go to a file.
func TestStatusLineStaysWhileStdoutIsAFile(t *testing.T) {
	t.Parallel()
	s := newScreen(t, 80)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	end := s.run(t, nil, out, "--", "for i in 1 2 3 4; do sleep 0.3; done; echo 1; : {}")
	testkit.Eventually(t, func() bool { return strings.Contains(s.String(), "3 done") }, "all is done")
	end()
	if text := s.String(); strings.Contains(text, erase+erase) {
		t.Errorf("the status line was taken away: %q", text)
	}
}

// A verb that deletes asks on a terminal, and only y deletes.
func TestDeletionAsksOnTerminal(t *testing.T) {
	t.Parallel()
	s := shell{t, testkit.StartRedis(t).URL()}
	if err := rejectAll(t.Context(), s.url, "letters", []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		verb, question, keys string
		status               int
	}{
		{"purge letters", "; type letters to do it: ", "y\n", 1},
		{"purge letters", "type letters", "letters\n", 0},
		{"delete letters", "delete queue letters: 0 items that no worker has read? [y/N] ", "\n", 1},
		{"delete letters", "[y/N] ", "no\n", 1},
		{"delete letters", "[y/N] ", "\x04", 1}, // Ctrl-D
		{"delete letters --dry-run", "", "", 0},
		{"delete nothing", "", "", 5},
		{"delete letters", "[y/N] ", "Y\n", 0},
		{"delete letters", "", "", 5},
		{"dead drop --all", "drop 2 dead letters with 2 items? [y/N] ", "\n", 1},
		{"dead drop --all", "[y/N] ", "yes\n", 0},
		{"dead drop --all", "drop 0 dead letters with 0 items? [y/N] ", "n\n", 1},
		{"dead drop --all --yes", "", "", 0},
	} {
		screen := newScreen(t, 80)
		cmd := exec.CommandContext(t.Context(), "dqbridge", append(strings.Fields(c.verb), "--redis", s.url)...)
		cmd.Stdin, cmd.Stderr = screen.user, screen.user
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { return strings.Contains(screen.String(), c.question) }, "it asks: "+c.question)
		if _, err := screen.keys.WriteString(c.keys); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the exit status is compared
		if status := cmd.ProcessState.ExitCode(); status != c.status {
			t.Errorf("%s, then %q: exit status %d on %q", c.verb, c.keys, status, screen)
		}
	}
}

// Ctrl-C at a question ends the command.
func TestSignalEndsQuestion(t *testing.T) {
	t.Parallel()
	s := shell{t, testkit.StartRedis(t).URL()}
	screen := newScreen(t, 80)
	cmd := exec.CommandContext(t.Context(), "dqbridge", "dead", "drop", "--all", "--redis", s.url)
	cmd.Stdin, cmd.Stderr = screen.user, screen.user
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() bool { return strings.Contains(screen.String(), "[y/N]") }, "it asks")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit status is compared
	if status := cmd.ProcessState.ExitCode(); status != 130 {
		t.Errorf("exit status %d on %q", status, screen)
	}
}

// top takes the screen, gives it back, and ends well.
func TestTopLeavesTerminalAsItWas(t *testing.T) {
	t.Parallel()
	s := shell{t, testkit.StartRedis(t).URL()}
	if err := rejectAll(t.Context(), s.url, "letters", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	for keys, status := range map[string]int{"q": 0, "\x03": 0} {
		screen := newScreen(t, 80)
		cmd := exec.CommandContext(t.Context(), "dqbridge", "top", "--redis", s.url)
		cmd.Env = append(os.Environ(), "TERM=xterm")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = screen.user, screen.user, screen.user
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, func() bool { return strings.Contains(screen.String(), "letters") }, "it shows the queue")
		if _, err := screen.keys.WriteString(keys); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the exit status is compared
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%q: exit status %d", keys, got)
		}
		testkit.Eventually(t, func() bool { return strings.Contains(screen.String(), "\x1b[?1049l") }, "the screen is given back")
	}
}

func fileSize(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
