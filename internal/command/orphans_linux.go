package command

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An adopter makes this process the parent of all descendants whose own parent has ended (a subreaper), and kills
// them when their command is over. So those are found that have left the group of their command, as
// timeout, setsid and daemons do.
type adopter struct {
	children *os.File // numbers of the children that are adopted, and of some others; nil: not known

	starts sync.RWMutex // held for reading while a process starts
	mu     sync.Mutex
	own    map[int]*os.Process // children that somebody waits for; nil: they were there before
	users  int
}

// orphans returns the adopter of this process. There is one, since a process has one list of children.
var orphans = sync.OnceValue(func() *adopter {
	a := &adopter{own: map[int]*os.Process{}}
	children, err := os.Open(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil || unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != nil {
		return a // an old kernel; groups are killed all the same
	}
	a.children = children
	for _, pid := range a.list() {
		a.own[pid] = nil
	}
	return a
})

// enter notes that commands are going to run.
func (a *adopter) enter() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.users++
}

// leave notes that no commands run any more that called enter. Without any others, all orphans are killed.
func (a *adopter) leave() {
	a.mu.Lock()
	a.users--
	users := a.users
	a.mu.Unlock()
	if users == 0 {
		a.kill(func(string) bool { return true })
	}
}

// started starts a process that somebody waits for.
func (a *adopter) started(start func() (*os.Process, error)) error {
	a.starts.RLock()
	defer a.starts.RUnlock()
	proc, err := start()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.own[proc.Pid] = proc
	return nil
}

// reaped notes that somebody has waited for a process.
func (a *adopter) reaped(proc *os.Process) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.own[proc.Pid] == proc {
		delete(a.own, proc.Pid)
	}
}

// orphanRounds is how often orphans are looked for that came from others which were killed, with a pause in between.
const orphanRounds = 1000

// kill kills the orphans whose environment over takes, and theirs, until they are gone.
func (a *adopter) kill(over func(environment string) bool) {
	for range orphanRounds {
		if len(a.adopted()) == 0 || !a.round(over) {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // the kernel tells of no end of a grandchild
	}
}

// round kills orphans once. It returns false if there were none.
func (a *adopter) round(over func(environment string) bool) (some bool) {
	a.starts.Lock() // every child is known or adopted
	defer a.starts.Unlock()
	for _, pid := range a.adopted() {
		if gone, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); gone == pid {
			some = true // it may have had children
			continue
		}
		environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // empty if it is another user's
		if over(string(environment)) && unix.Kill(pid, unix.SIGKILL) == nil {
			some = true
		}
	}
	return some
}

// adopted returns the children that nobody waits for.
func (a *adopter) adopted() []int {
	all := a.list()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.DeleteFunc(all, func(pid int) bool {
		_, own := a.own[pid]
		return own
	})
}

func (a *adopter) list() (pids []int) {
	if a.children == nil {
		return nil
	}
	text, _ := io.ReadAll(io.NewSectionReader(a.children, 0, 1<<20))
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
