package command

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// newTable returns an unnamed file in memory.
func newTable() (*os.File, error) {
	fd, err := unix.MemfdCreate("processes", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "processes"), nil
}

// reap waits for the end of the process and kills its group. The kernel does not reuse the process
// id before proc.Wait, so the signal reaches no other group.
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

// idle reports whether a process and all its descendants wait for an event other than a timer. A
// process that has answered its line waits for the next one. known is false if the kernel does not
// show the state.
func idle(pid int) (is, known bool) {
	wchan, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	if err != nil {
		return false, false
	}
	if waits := string(wchan); waits == "0" || waits == "" || strings.Contains(waits, "sleep") {
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
