package chaos

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// A process plays a role in a flow. Only the test that started it ends it.
type process struct {
	role   role
	cmd    *exec.Cmd
	leash  io.Closer
	log    *os.File
	exited chan struct{}
	err    error // valid once exited is closed, like peak
	peak   int64 // peak memory in KiB
	hit    bool  // it was killed or stopped
}

// start starts a process, which ends with the test.
func (f *flow) start(r role) *process {
	f.t.Helper()
	f.started++
	base := filepath.Join(f.dir, fmt.Sprintf("%04d-%s", f.started, r.Name))
	r.Ledger = base + ".ledger"
	text, err := json.Marshal(r)
	if err != nil {
		f.t.Fatal(err)
	}
	p := &process{role: r, cmd: exec.Command(os.Args[0]), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), part+"="+string(text), "GORACE=atexit_sleep_ms=0")
	if p.leash, err = p.cmd.StdinPipe(); err != nil {
		f.t.Fatal(err)
	}
	if p.log, err = os.Create(base + ".log"); err != nil {
		f.t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		if usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			p.peak = usage.Maxrss
		}
		close(p.exited)
	}()
	f.all = append(f.all, p)
	f.t.Cleanup(func() {
		p.kill()
		_ = p.log.Close()
		_ = p.leash.Close()
		if f.t.Failed() {
			p.show(f.t)
		}
	})
	return p
}

// kill sends SIGKILL.
func (p *process) kill() {
	p.hit = true
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// end sends SIGTERM, once the process handles it.
func (p *process) end(t *testing.T) {
	t.Helper()
	testkit.Eventually(t, func() bool {
		_, err := os.Stat(p.role.Ledger)
		return err == nil || p.gone()
	}, "the process begins")
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Errorf("%s %d does not take the signal %v: %v", p.role.Name, p.cmd.Process.Pid, s, err)
	}
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// fenced reports whether the process has found that it was declared dead.
func (p *process) fenced(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		t.Error(err)
	}
	return bytes.Contains(text, []byte("others took this worker for dead"))
}

// silence is how long a process may take to end while its ledger does not grow.
const silence = 40 * time.Second

// join waits for a normal end of the process.
func (p *process) join(f *flow) {
	f.t.Helper()
	if err := p.wait(f); err != nil {
		f.t.Fatalf("%s %d: %v", p.role.Name, p.cmd.Process.Pid, err)
	}
}

// wait waits until the process ends. It does not time out while the ledger grows.
func (p *process) wait(f *flow) error {
	f.t.Helper()
	size := int64(-1)
	for {
		select {
		case <-p.exited:
			return p.err
		case <-time.After(silence):
		}
		info, err := os.Stat(p.role.Ledger)
		if err == nil && info.Size() == size {
			f.dump()
			p.signal(f.t, syscall.SIGQUIT)
			<-p.exited
			f.t.Fatalf("%s %d does not go on", p.role.Name, p.cmd.Process.Pid)
		}
		if err == nil {
			size = info.Size()
		}
	}
}

// show logs the last lines of a process.
func (p *process) show(t *testing.T) {
	text, err := os.ReadFile(p.log.Name())
	if err != nil || len(text) == 0 {
		return
	}
	said, stacks, _ := strings.Cut(strings.TrimSpace(string(text)), "SIGQUIT")
	lines := strings.Split(said, "\n")
	lines = append(lines[max(0, len(lines)-30):], stacks)
	t.Logf("%s:\n%s", filepath.Base(p.log.Name()), strings.Join(lines, "\n"))
}
