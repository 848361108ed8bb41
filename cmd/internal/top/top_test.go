package top

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/vt"
	"go.uber.org/goleak"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// The reader of bubbletea may keep its last event after the end of a program, which then ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/charmbracelet/ultraviolet.(*TerminalReader).sendEvents"))
}

// A namespace has a snapshot, or fails.
type namespace struct {
	executor.Inspector
	mu       sync.Mutex
	snapshot inspect.Snapshot
	err      error
}

func (n *namespace) Snapshot(context.Context) (inspect.Snapshot, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.snapshot, n.err
}

func (n *namespace) Errors(context.Context) ([]inspect.ErrorGroup, error) { return failures, nil }
func (n *namespace) Server(context.Context) (inspect.Server, error)       { return server70, nil }
func (n *namespace) MarkWatched(context.Context) error                    { return nil }

func (n *namespace) set(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// A session is a run of top on a virtual terminal.
type session struct {
	screen *terminal
	keys   *os.File
	end    func() error // ends its context and returns the error of the run
}

func start(t *testing.T, n executor.Inspector, o Operator, width, height int) session {
	t.Helper()
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	screen := &terminal{vt: vt.NewEmulator(width, height)}
	answers := make(chan struct{}) // of the terminal, to questions of the program
	go func() {
		defer close(answers)
		_, _ = io.Copy(io.Discard, screen.vt)
	}()
	w := watch.Start(t.Context(), n, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, w, Settings{In: in, Out: screen, Place: "host:6379/", Operator: o},
			tea.WithWindowSize(width, height), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	}()
	end := sync.OnceValue(func() error {
		cancel(errStopped)
		err := <-ended
		w.Close()
		closed := errors.Join(screen.vt.InputPipe().(io.Closer).Close(), in.Close(), keys.Close())
		<-answers
		return errors.Join(err, closed)
	})
	t.Cleanup(func() { _ = end() })
	return session{screen, keys, end}
}

var errStopped = errors.New("stopped")

// A terminal is a virtual terminal that begins a line after each newline, as that of a system does.
type terminal struct {
	mu sync.Mutex
	vt *vt.Emulator
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.vt.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	return len(p), err
}

func (s *terminal) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.vt.String()
}

// see waits until the screen has a text.
func (s session) see(t *testing.T, text string) {
	t.Helper()
	testkit.Eventually(t, func() bool { return strings.Contains(s.screen.String(), text) }, "the screen shows "+text)
}

// strike types keys.
func (s session) strike(t *testing.T, keys string) {
	t.Helper()
	if _, err := s.keys.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

func TestScreenFollowsKeysAndOutages(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {200, 50}} {
		t.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(t *testing.T) {
			t.Parallel()
			useScreen(t, size[0], size[1])
		})
	}
}

func useScreen(t *testing.T, width, height int) {
	t.Helper()
	n := &namespace{snapshot: snapshot()}
	s := start(t, n, nil, width, height)
	s.see(t, "[1 flows 2]")
	s.see(t, "host:6379/")
	for _, step := range []struct{ keys, text string }{
		{"2", "FUNCTION"}, {"3", "[3 workers 1]"}, {"4", "stage:s"}, {"5", "3 is a multiple"}, {"?", "this help"}, {"q", "q quit"},
		{"4s", "sort: queue"}, {"/or", "filter: or_"}, {"\r", "filter: or, 1 of 3"}, {"\r", "DROPPED"}, {"\x1b", "q quit"}, {"d", "fail D8 functions"}, {"q", "q quit"},
	} {
		s.strike(t, step.keys)
		s.see(t, step.text)
	}
	n.set(errors.New("no route to host"))
	s.see(t, "REDIS AWAY since ")
	s.see(t, "orders") // the last state
	n.set(nil)
	s.see(t, "redis 7.0.15 live")
	testkit.Eventually(t, func() bool { return strings.HasPrefix(s.screen.String(), "dqbridge top") }, "the screen has not scrolled")
	s.strike(t, "q")
	if err := s.end(); err != nil && !errors.Is(err, errStopped) {
		t.Error(err)
	}
}

func TestEndOfContextEndsScreen(t *testing.T) {
	t.Parallel()
	s := start(t, &namespace{snapshot: snapshot()}, nil, 80, 24)
	s.see(t, "flows")
	if err := s.end(); !errors.Is(err, errStopped) {
		t.Errorf("ended with %v", err)
	}
}

// Without a terminal, all rows are printed without styles.
func TestPrintsAllOnce(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := Print(&out, view(), "host:6379/"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"host:6379/", "fail  D8", "flows: 2\nFLOW", "stages: 1\n", "workers: 1\n", "queues: 3\n", "errors: 1\n", "3 is a multiple"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("printed %q", &out)
	}
	if err := Print(full{}, view(), ""); !errors.Is(err, errFull) {
		t.Errorf("without room: %v", err)
	}
}

// A full writer takes nothing.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
