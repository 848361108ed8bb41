package command

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dqbridge/dqbridge/workers"
)

// workerEnv is a variable with a command. The test binary then is a worker that runs the command
// until the worker is killed.
const workerEnv = "COMMAND_TEST_WORKER"

func TestMain(m *testing.M) {
	if command := os.Getenv(workerEnv); command != "" {
		_, _ = newLauncher().run(context.Background(), command, "")
		return
	}
	goleak.VerifyTestMain(m)
}

func launch(t *testing.T) *launcher {
	t.Helper()
	l := newLauncher()
	t.Cleanup(l.close)
	return l
}

// A call is a function of one item, of any kind.
type call func(context.Context, string) (string, error)

var silent = slog.New(slog.DiscardHandler)

// one returns the function of a coproc for one item.
func one(c *coproc) call {
	return func(ctx context.Context, item string) (string, error) {
		values, err := c.call(ctx, []string{item})
		var bad workers.Errors
		switch {
		case errors.As(err, &bad):
			return "", bad[0]
		case err != nil:
			return "", err
		}
		return values[0], nil
	}
}

func withoutPlaceholders(command string) template { return template{{text: command}} }

// calls returns the command as a function of each kind.
func calls(l *launcher, command string) map[Kind]call {
	pipe := l.pipe(command)
	return map[Kind]call{
		Exec: l.exec(withoutPlaceholders(command), "\n"),
		Pipe: func(ctx context.Context, item string) (string, error) {
			values, err := pipe(ctx, []string{item})
			return strings.Join(values, "\n"), err
		},
		Coproc: one(&coproc{launcher: l, command: command, log: silent}),
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %q", err, part)
		}
	}
}

// A fifo is a named pipe. Its reader gets io.EOF when every process that had it open has ended.
type fifo struct{ path string }

func newFifo(t *testing.T) fifo {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo{path}
}

// read waits for the line "up" of a process and returns the open fifo.
func (f fifo) read(t *testing.T) *os.File {
	t.Helper()
	file := f.open(t)
	up := make([]byte, len("up\n"))
	if _, err := file.Read(up); err != nil || string(up) != "up\n" {
		t.Fatalf("got %q, %v", up, err)
	}
	return file
}

// open waits until a process opens the fifo for writing. Reads of the result have a deadline.
func (f fifo) open(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Open(f.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := file.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return file
}

func wantEOF(t *testing.T, file *os.File) {
	t.Helper()
	if n, err := file.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		t.Errorf("a process is left: %v", err)
	}
}

// family is a command whose child and whose grandchild hold the fifo open.
func (f fifo) family() string {
	return "exec 9>" + f.path + "; (sh -c 'echo up >&9; sleep 1000' & sleep 1000) & wait; sleep 1000"
}

func TestEndOfContextKillsGrandchildren(t *testing.T) {
	cause := errors.New("enough")
	for kind := range calls(nil, "") {
		t.Run(string(kind), func(t *testing.T) {
			f := newFifo(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			failed := make(chan error)
			call := calls(launch(t), f.family())[kind]
			go func() {
				_, err := call(ctx, "x")
				failed <- err
			}()
			file := f.read(t)
			cancel(cause)
			wantEOF(t, file)
			if err := <-failed; !errors.Is(err, cause) {
				t.Error(err)
			}
		})
	}
}

func TestCloseKillsAllProcesses(t *testing.T) {
	for kind := range calls(nil, "") {
		t.Run(string(kind), func(t *testing.T) {
			f, l := newFifo(t), newLauncher()
			failed := make(chan error)
			call := calls(l, f.family())[kind]
			go func() {
				_, err := call(t.Context(), "x")
				failed <- err
			}()
			file := f.read(t)
			l.close()
			wantEOF(t, file)
			if err := <-failed; !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			if _, err := call(t.Context(), "x"); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			l.close()
		})
	}
}

func TestEndedContextStartsNoProcess(t *testing.T) {
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	path := filepath.Join(t.TempDir(), "started")
	for kind, call := range calls(launch(t), "touch "+path) {
		if _, err := call(ctx, "x"); !errors.Is(err, cause) {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestBackgroundProcessesEndWithTheirCommand(t *testing.T) {
	f := newFifo(t)
	call := launch(t).exec(withoutPlaceholders("exec 9>"+f.path+"; (echo up >&9; sleep 1000) >&- 2>&- & echo done"), "\n")
	value := make(chan string)
	go func() {
		v, err := call(t.Context(), "x")
		if err != nil {
			t.Error(err)
		}
		value <- v
	}()
	file := f.open(t)
	if v := <-value; v != "done" {
		t.Errorf("got %q", v)
	}
	if _, err := io.ReadAll(file); err != nil {
		t.Errorf("a process is left: %v", err)
	}
}

func TestItemEndsWithItsCommand(t *testing.T) {
	for command, want := range map[string]string{
		"sleep 1000 & echo done":                            "done",
		"sleep 1000 & cat":                                  "item",
		"(sleep 1000; echo late) & head -c 60000 /dev/zero": strings.Repeat("\x00", 60000),
	} {
		if v, err := launch(t).exec(withoutPlaceholders(command), "\n")(t.Context(), "item"); v != want || err != nil {
			t.Errorf("%s: got %.20q, %v", command, v, err)
		}
	}
}

func TestFailuresHaveStatusAndStderr(t *testing.T) {
	for kind, call := range calls(launch(t), "read x; echo value; echo oops: $x >&2; exit 3") {
		if kind == Coproc {
			continue
		}
		_, err := call(t.Context(), "it")
		wantError(t, err, "exit status 3: oops: it")
	}
	for kind, call := range calls(launch(t), "read x; echo oops: $x >&2; exit 3") {
		v, err := call(t.Context(), "it")
		wantError(t, err, "exit status 3: oops: it")
		if v != "" {
			t.Errorf("%s: got %q", kind, v)
		}
	}
	for _, call := range calls(launch(t), "kill -9 $$") {
		_, err := call(t.Context(), "it")
		wantError(t, err, "signal: killed")
	}
	for _, call := range calls(launch(t), "no-such-command") {
		_, err := call(t.Context(), "it")
		wantError(t, err, "exit status 127: ", "no-such-command")
	}
}

// hostile are items with a special meaning for a shell or an option parser.
var hostile = []string{
	"", " ", "; rm -rf /", "$(touch x)", "`touch x`", "--flag", "-e", "-n", "'", `"`, `\`, `\n`, "a\x00b", "\x00", "%s%n",
	"\r", "a\r", "\xff\xfe", "*", "~", "$HOME", "| cat", "> x", "&", "!!", "#", "\x1b[0m", "\x04", "\x1a", "ü",
	strings.Repeat("long ", 1<<16),
}

func TestHostileItemsArriveUnchanged(t *testing.T) {
	for kind, call := range calls(launch(t), "cat") {
		for _, item := range hostile {
			if v, err := call(t.Context(), item); v != item || err != nil {
				t.Errorf("%s: %.40q became %.40q, %v", kind, item, v, err)
			}
		}
	}
}

func TestOutputAboveTheBoundFails(t *testing.T) {
	for _, call := range calls(launch(t), "tr '\\0' x </dev/zero") {
		_, err := call(t.Context(), "x")
		wantError(t, err, "above the bound of 64 MiB")
	}
	for kind, call := range calls(launch(t), "head -c 67108864 /dev/zero; echo; cat >/dev/null") {
		if v, err := call(t.Context(), "x"); len(v) != 64<<20 || err != nil {
			t.Errorf("%s: %d bytes, %v", kind, len(v), err)
		}
	}
}

func TestSetParsesSpecs(t *testing.T) {
	s, err := New([]string{"a=exec:cat", "b=pipe:cat", "c=coproc:cat"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := len(s.Functions()); n != 3 {
		t.Errorf("%d functions", n)
	}
	_, err = New([]string{"a=exec:cat", "b=pip:cat"}, silent)
	wantError(t, err, `command "b=pip:cat"`, "nearest: pipe:")
	_, err = New([]string{"a=exec:cat", "a=pipe:cat"}, silent)
	wantError(t, err, `another command has the name "a"`)
}

func TestTailKeepsTheEnd(t *testing.T) {
	for _, size := range []int{1, 7, 4095, 4096, 4097, 10000} {
		var kept tail
		text := strings.Repeat("0123456789abcdef\n", 1000)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if k, err := kept.Write([]byte(rest[:n])); k != n || err != nil {
				t.Fatal(k, err)
			}
			rest = rest[n:]
		}
		if want := "..." + strings.TrimSpace(text[len(text)-4096:]); kept.String() != want {
			t.Errorf("size %d: got %d bytes, want %d", size, len(kept.String()), len(want))
		}
	}
	var shorten tail
	_, _ = shorten.Write([]byte(" a\xffb\n"))
	if shorten.String() != "a\uFFFDb" {
		t.Errorf("got %q", shorten.String())
	}
}
