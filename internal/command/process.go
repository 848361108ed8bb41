package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// waitDelay is how long the pipes of a process may stay open after its end. What it
// wrote last is read in that time, also on a machine that is very busy.
const waitDelay = 5 * time.Second

// A process is one run of a command.
type process struct {
	cmd     *exec.Cmd
	kill    context.CancelCauseFunc // kills the group, now or as soon as it is there
	cause   func() error            // what it was killed for
	done    <-chan struct{}         // is closed when it was killed or waited for
	stderr  tail
	release func() // set by the launcher
}

func newProcess(ctx context.Context, command string) *process {
	ctx, kill := context.WithCancelCause(ctx)
	p := &process{kill: kill, done: ctx.Done(), cause: func() error { return context.Cause(ctx) }}
	p.cmd = exec.CommandContext(ctx, "sh", "-c", command)
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = attributes()
	p.cmd.Cancel = p.killGroup
	p.cmd.WaitDelay = waitDelay
	return p
}

func (p *process) killGroup() error {
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// wait waits for the process and its output, and kills what it leaves behind.
// The error of one that was killed is what it was killed for.
func (p *process) wait() error {
	defer p.release()
	defer p.kill(nil)
	err := p.cmd.Wait()
	// The leader is reaped, but its number stays taken as long as the group
	// has members, and a free number is not used again before all others.
	_ = p.killGroup()
	switch cause := p.cause(); {
	case err == nil:
		return nil
	case cause != nil:
		return cause
	case errors.Is(err, exec.ErrWaitDelay):
		return fmt.Errorf("the command ended, but %v later something that it started still held its output", waitDelay)
	}
	return p.exitError(err)
}

// exitError adds what the process wrote to stderr to how it ended.
func (p *process) exitError(err error) error {
	text := p.stderr.String()
	if text == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}
