package command

import (
	"os"

	"golang.org/x/sys/unix"
)

// newTable returns a file in memory.
func newTable() (*os.File, error) {
	fd, err := unix.MemfdCreate("processes", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "processes"), nil
}

// reap waits for the process and kills its group. Its number stays taken until it is waited for, so that the group is no
// other one.
func (p *process) reap() (*os.ProcessState, error) {
	for {
		err := unix.Waitid(unix.P_PID, p.proc.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killGroup()
	p.alive = false
	return p.proc.Wait()
}
