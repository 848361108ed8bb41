//go:build !linux

package command

import (
	"errors"
	"os"
)

// newTable returns a file that nobody else can open.
func newTable() (*os.File, error) {
	f, err := os.CreateTemp("", "dqbridge")
	if err != nil {
		return nil, err
	}
	return f, errors.Join(os.Remove(f.Name()))
}

// reap waits for the process and kills its group. The process is gone before, but its number stays taken as
// long as the group has members, and a free number is not used again before all others.
func (p *process) reap() (*os.ProcessState, error) {
	state, err := p.proc.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killGroup()
	p.alive = false
	return state, err
}

// An adopter does nothing: descendants that have left their group go to the first process of the system.
type adopter struct{}

func orphans() *adopter { return &adopter{} }

func (*adopter) enter()                             {}
func (*adopter) leave()                             {}
func (*adopter) reaped(*os.Process)                 {}
func (*adopter) kill(func(environment string) bool) {}
func (*adopter) started(start func() (*os.Process, error)) error {
	_, err := start()
	return err
}

// idle does not know: these systems do not tell how a process waits.
func idle(int) (is, known bool) { return false, false }
