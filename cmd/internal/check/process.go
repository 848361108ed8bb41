package check

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A process is a worker, with all that it has started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, once done is closed
}

// start starts a worker. Its output goes to stderr.
func (c *Checker) start() (*process, error) {
	p := &process{cmd: exec.Command("sh", "-c", "exec "+c.Worker), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+c.URL)
	p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// ended is closed when the process has ended; nil if there is none.
func (p *process) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// kill ends it and its children at once, if there is one.
func (p *process) kill() {
	if p == nil {
		return
	}
	select {
	case <-p.done: // its number may be another's
		return
	default:
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// end has it end, by force if need be, if there is one.
func (p *process) end() {
	if p != nil {
		_ = p.term(ending)
	}
}

// signal sends a signal to it and its children.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// term asks it to end, and waits for that.
func (p *process) term(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("send SIGTERM: %w", err)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
		return fmt.Errorf("it runs %v after SIGTERM", limit)
	}
	if p.err != nil {
		return fmt.Errorf("it ended with: %w", p.err)
	}
	return nil
}
