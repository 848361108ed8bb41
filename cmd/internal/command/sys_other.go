//go:build !linux

package command

import (
	"errors"
	"os"
)

// newTable returns a file without a name.
func newTable() (*os.File, error) {
	f, err := os.CreateTemp("", "dqbridge")
	if err != nil {
		return nil, err
	}
	return f, errors.Join(os.Remove(f.Name()))
}

// reap waits for the end of the process and kills its group. The id of the group stays in use as
// long as the group has members, and the system reuses a free id only after all others.
func (p *process) reap() (*os.ProcessState, error) {
	state, err := p.proc.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killGroup()
	p.alive = false
	return state, err
}

// A subreaper has no effect on these systems: the init process adopts descendants that have left
// their group.
type subreaper struct{}

func orphans() *subreaper { return &subreaper{} }

func (*subreaper) acquire()                           {}
func (*subreaper) release()                           {}
func (*subreaper) forgetChild(*os.Process)            {}
func (*subreaper) kill(func(environment string) bool) {}
func (*subreaper) startChild(start func() (*os.Process, error)) error {
	_, err := start()
	return err
}

// idle returns known false: these systems do not show whether a process waits.
func idle(int) (is, known bool) { return false, false }
