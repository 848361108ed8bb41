package command

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	bare   map[int]bool        // adopted children that have no environment
	users  int
}

// orphans returns the adopter of this process. There is one, since a process has one list of children.
var orphans = sync.OnceValue(func() *adopter {
	a := &adopter{own: map[int]*os.Process{}, bare: map[int]bool{}}
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

// bareRounds is in how many of them an orphan has no environment until it is taken for one without: the
// kernel shows none of a process that is just beginning another program.
const bareRounds = 100

// kill kills the orphans whose environment over takes, and theirs, until they are gone.
func (a *adopter) kill(over func(environment string) bool) {
	for i := range orphanRounds {
		if len(a.adopted()) == 0 {
			return
		}
		some, bare := a.round(over)
		if i >= bareRounds {
			a.remember(bare)
		} else {
			some = some || len(bare) > 0
		}
		if !some {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // the kernel tells of no end of a grandchild
	}
}

// remember notes orphans that have no environment.
func (a *adopter) remember(bare []int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, pid := range bare {
		a.bare[pid] = true
	}
}

// isBare tells whether an orphan is known to have no environment.
func (a *adopter) isBare(pid int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bare[pid]
}

// forget forgets an orphan that has ended, whose number may be another's now.
func (a *adopter) forget(pid int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.bare, pid)
}

// round kills orphans once. It returns false if there were none, and those that show no environment for the first time.
func (a *adopter) round(over func(environment string) bool) (some bool, bare []int) {
	a.starts.Lock() // every child is known or adopted
	defer a.starts.Unlock()
	for _, pid := range a.adopted() {
		if gone, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); gone == pid {
			a.forget(pid)
			some = true // it may have had children
			continue
		}
		environment, err := environmentOf(pid)
		switch {
		case err != nil && !errors.Is(err, fs.ErrPermission): // it ends just now; another user's may not be read
			some = true // it may have children
		case over(environment):
			some = unix.Kill(pid, unix.SIGKILL) == nil || some
		case err == nil && len(environment) == 0 && !a.isBare(pid):
			bare = append(bare, pid)
		}
	}
	return some, bare
}

// environmentOf reads the environment of a process. It takes one read: a process that begins another program between two of
// them has no second part.
func environmentOf(pid int) (string, error) {
	for size := 64 << 10; ; size *= 4 {
		file, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil {
			return "", err
		}
		text := make([]byte, size)
		n, err := file.Read(text)
		_ = file.Close()
		switch {
		case errors.Is(err, io.EOF):
			return "", nil
		case err != nil:
			return "", err
		case n < size:
			return string(text[:n]), nil
		}
	}
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

// lookAlike is how many times the children are read at most until two readings are alike: the kernel may leave children out of
// a list while others end.
const lookAlike = 5

// list returns the children of this process.
func (a *adopter) list() []int {
	pids := a.read()
	for range lookAlike {
		again := a.read()
		if slices.Equal(pids, again) {
			break
		}
		pids = again
	}
	return pids
}

func (a *adopter) read() (pids []int) {
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
