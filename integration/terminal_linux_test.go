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
	s := new(screen)
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
			if line, _, _ := strings.Cut(part, "\r\n"); strings.Contains(line, " done") && len(line) > 19 {
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

func fileSize(t *testing.T, f *os.File) int64 {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
