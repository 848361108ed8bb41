package operate

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

var long = flag.Bool("long", false, "look for items many times while workers die, and at planted faults for two minutes")

func TestMain(m *testing.M) { testkit.MainWithCommands(m, "../..") }

// processLimit is the time after which a process of a test is killed.
const processLimit = 5 * time.Minute

// A site is a redis-server with the processes of a fleet.
type site struct {
	t      *testing.T
	server *testkit.Server
	dir    string // for the files of functions
}

func newSite(t *testing.T, args ...string) site {
	t.Helper()
	t.Parallel()
	return site{t, testkit.StartRedis(t, args...), t.TempDir()}
}

// A process is one that runs beside the test.
type process struct {
	*exec.Cmd
	out   *os.File // its stdout
	log   bytes.Buffer
	ended chan struct{}
}

func (s site) command(stdin io.Reader, name string, args ...string) *exec.Cmd {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), processLimit)
	s.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+s.server.URL())
	cmd.Stdin = stdin
	return cmd
}

// start starts a process, which ends with the test.
func (s site) start(stdin *os.File, name string, args ...string) *process {
	s.t.Helper()
	p := &process{Cmd: s.command(nil, name, args...), ended: make(chan struct{})}
	var err error
	if p.out, err = os.CreateTemp(s.dir, "out"); err != nil {
		s.t.Fatal(err)
	}
	if stdin != nil {
		p.Stdin = stdin
	}
	p.Stdout, p.Stderr = p.out, &p.log
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // a test that needs the status reads ProcessState
	}()
	s.t.Cleanup(func() {
		p.kill()
		if err := p.out.Close(); err != nil {
			s.t.Error(err)
		}
		if s.t.Failed() {
			s.t.Logf("%v (%d):\n%s", p.Args, p.Process.Pid, p.log.String())
		}
	})
	return p
}

func (p *process) kill() {
	_ = p.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// text returns what the process has written to stdout.
func (p *process) text(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(p.out.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// worker starts a worker of two slots.
func (s site) worker(args ...string) *process {
	s.t.Helper()
	return s.start(nil, "dqworker", append([]string{"--concurrency", "2"}, args...)...)
}

// pipe returns both ends of a pipe. The test closes them.
func (s site) pipe() (r, w *os.File) {
	s.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _, _ = r.Close(), w.Close() }) // they may be closed
	return r, w
}

// ask runs dqbridge with a text on stdin. It returns its output and its exit status.
func (s site) ask(stdin string, args ...string) (out string, status int) {
	s.t.Helper()
	cmd := s.command(strings.NewReader(stdin), "dqbridge", args...)
	text, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// do runs dqbridge, which has to succeed.
func (s site) do(stdin string, args ...string) string {
	s.t.Helper()
	out, status := s.ask(stdin, args...)
	if status != 0 {
		s.t.Fatalf("dqbridge %s: status %d: %s", strings.Join(args, " "), status, out)
	}
	return out
}

// eventuallyShows runs dqbridge until its output contains a text.
func (s site) eventuallyShows(text string, args ...string) {
	s.t.Helper()
	var out string
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("dqbridge %s:\n%s", strings.Join(args, " "), out)
		}
	})
	testkit.Eventually(s.t, func() bool {
		out, _ = s.ask("", args...)
		return strings.Contains(out, text)
	}, "dqbridge "+strings.Join(args, " ")+" shows "+text)
}

// lives tells whether there is a process with an id.
func lives(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// path returns the name of a file of the site.
func (s site) path(name string) string { return filepath.Join(s.dir, name) }
