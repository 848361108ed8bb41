package check

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A process is a worker with all its child processes.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed after its exit
	err  error         // exit error, valid after done is closed
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

// ended is closed after the exit of the process; nil if there is no process.
func (p *process) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// kill kills the process and its children, if there is one.
func (p *process) kill() {
	if p == nil {
		return
	}
	select {
	case <-p.done: // its number may belong to another process
		return
	default:
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// end terminates the process, after a timeout by force.
func (p *process) end() {
	if p != nil {
		_ = p.term(ending)
	}
}

// signal sends a signal to the process and its children.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// term sends SIGTERM and waits at most limit for the exit.
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
