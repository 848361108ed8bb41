package check

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A process is a worker with its descendants in one process group.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // result of Wait; set before done is closed
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

// ended returns a channel that is closed at the end of the process. It is nil for a nil process.
func (p *process) ended() <-chan struct{} {
	if p == nil {
		return nil
	}
	return p.done
}

// kill kills the process group. A nil process is ignored.
func (p *process) kill() {
	if p == nil {
		return
	}
	select {
	case <-p.done: // the system may reuse the process id
		return
	default:
	}
	p.signal(syscall.SIGKILL)
	<-p.done
}

// end terminates the process, and kills it after stopTimeout. A nil process is ignored.
func (p *process) end() {
	if p != nil {
		_ = p.terminate(stopTimeout)
	}
}

// signal sends a signal to the process group.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

// terminate sends SIGTERM and waits for the end of the process. It kills the process after limit.
func (p *process) terminate(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("send SIGTERM: %w", err)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.kill()
		return fmt.Errorf("it still runs %v after SIGTERM", limit)
	}
	if p.err != nil {
		return fmt.Errorf("it ended with an error: %w", p.err)
	}
	return nil
}
