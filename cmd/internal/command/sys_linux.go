package command

import (
	"fmt"
	"os"
	"strings"

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

// idle reports whether a process and its descendants all wait, and none of them for a time to pass: a process that is done
// with its line waits for the next one. known is false if the system does not tell.
func idle(pid int) (is, known bool) {
	what, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	if err != nil {
		return false, false
	}
	if waits := string(what); waits == "0" || waits == "" || strings.Contains(waits, "sleep") {
		return false, true
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return true, true
	}
	for _, child := range strings.Fields(string(children)) {
		var number int
		if _, err := fmt.Sscan(child, &number); err != nil {
			continue
		}
		if is, known := idle(number); known && !is {
			return false, true
		}
	}
	return true, true
}
