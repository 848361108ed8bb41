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

// A subreaper makes this process the parent of all descendants whose own parent has ended, and
// kills them after the end of their command. This finds descendants that have left the group of
// their command, as timeout, setsid and daemons do.
type subreaper struct {
	children *os.File // the kernel's list of child process ids; nil: not available

	starting sync.RWMutex // held for reading while a process starts
	mu       sync.Mutex
	known    map[int]*os.Process // children that are not orphans; nil: older than the subreaper
	noEnv    map[int]bool        // orphans without an environment
	users    int                 // launchers
}

// orphans returns the subreaper of this process. There is one, since a process has one list of
// children.
var orphans = sync.OnceValue(func() *subreaper {
	s := &subreaper{known: map[int]*os.Process{}, noEnv: map[int]bool{}}
	children, err := os.Open(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	if err != nil || unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != nil {
		return s // an old kernel: only groups are killed
	}
	s.children = children
	for _, pid := range s.list() {
		s.known[pid] = nil
	}
	return s
})

// acquire counts a launcher that is going to run commands.
func (s *subreaper) acquire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users++
}

// release counts a launcher that has closed. The last one kills all orphans.
func (s *subreaper) release() {
	s.mu.Lock()
	s.users--
	users := s.users
	s.mu.Unlock()
	if users == 0 {
		s.kill(func(string) bool { return true })
	}
}

// startChild starts a process and records it as a child that its starter waits for.
func (s *subreaper) startChild(start func() (*os.Process, error)) error {
	s.starting.RLock()
	defer s.starting.RUnlock()
	proc, err := start()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[proc.Pid] = proc
	return nil
}

// forgetChild removes a child after its starter has waited for it.
func (s *subreaper) forgetChild(proc *os.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known[proc.Pid] == proc {
		delete(s.known, proc.Pid)
	}
}

// orphanRounds is the largest number of rounds of one kill. The death of an orphan may leave new
// orphans, which the next round kills.
const orphanRounds = 1000

// noEnvRounds is the number of rounds after which an orphan without an environment counts as one.
// The kernel shows no environment while a process executes another program.
const noEnvRounds = 100

// kill kills the orphans whose environment hasEnded accepts, and their descendants, until all have
// ended.
func (s *subreaper) kill(hasEnded func(environment string) bool) {
	for i := range orphanRounds {
		if len(s.adopted()) == 0 {
			return
		}
		some, noEnv := s.round(hasEnded)
		if i >= noEnvRounds {
			s.setNoEnv(noEnv)
		} else {
			some = some || len(noEnv) > 0
		}
		if !some {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // the kernel does not signal the end of a grandchild
	}
}

// setNoEnv records orphans without an environment.
func (s *subreaper) setNoEnv(noEnv []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pid := range noEnv {
		s.noEnv[pid] = true
	}
}

// hasNoEnv reports whether an orphan was recorded as one without an environment.
func (s *subreaper) hasNoEnv(pid int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noEnv[pid]
}

// forgetOrphan removes an orphan that has ended: the system may reuse its process id.
func (s *subreaper) forgetOrphan(pid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.noEnv, pid)
}

// round kills orphans once. It returns whether another round is necessary, and the orphans that
// have no environment and are not recorded yet.
func (s *subreaper) round(hasEnded func(environment string) bool) (some bool, noEnv []int) {
	s.starting.Lock() // now every child is known or an orphan
	defer s.starting.Unlock()
	for _, pid := range s.adopted() {
		if exited, _ := unix.Wait4(pid, nil, unix.WNOHANG, nil); exited == pid {
			s.forgetOrphan(pid)
			some = true // its children are orphans now
			continue
		}
		environment, err := environmentOf(pid)
		switch {
		case err != nil && !errors.Is(err, fs.ErrPermission): // it is ending; the environment of another user's process cannot be read
			some = true // its children may become orphans
		case hasEnded(environment):
			some = unix.Kill(pid, unix.SIGKILL) == nil || some
		case err == nil && len(environment) == 0 && !s.hasNoEnv(pid):
			noEnv = append(noEnv, pid)
		}
	}
	return some, noEnv
}

// environmentOf returns the environment of a process. It needs the result of a single read: a
// process that executes another program between two reads would give parts of two environments.
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

// adopted returns the orphans: children that are not known.
func (s *subreaper) adopted() []int {
	all := s.list()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(all, func(pid int) bool {
		_, known := s.known[pid]
		return known
	})
}

// maxReadings is the largest number of readings of the list of children until two are equal. The
// kernel may omit children from a list while others end.
const maxReadings = 5

// list returns the process ids of the children of this process.
func (s *subreaper) list() []int {
	pids := s.read()
	for range maxReadings {
		again := s.read()
		if slices.Equal(pids, again) {
			break
		}
		pids = again
	}
	return pids
}

func (s *subreaper) read() (pids []int) {
	if s.children == nil {
		return nil
	}
	text, _ := io.ReadAll(io.NewSectionReader(s.children, 0, 1<<20))
	for _, word := range strings.Fields(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
