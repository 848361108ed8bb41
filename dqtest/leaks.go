package dqtest

import (
	"bytes"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing/synctest"
	"time"
)

// The time until the clean-ups after dead processes are done: some leases of the default of ten
// seconds, and ten minutes for the queues of a dead Executor, and for a payload that a process wrote
// before it died and no script has stored.
const (
	settle = 2 * time.Minute
	grace  = 10 * time.Minute
)

// end ends the processes and reports left keys and goroutines.
func (f *Fleet) end() {
	f.t.Helper()
	if after := f.settled(); after > 0 {
		f.StartExecutor() // cleans up, even if no other process is alive
		<-time.After(after)
	}
	processes := f.all()
	slices.SortStableFunc(processes, func(a, b *Process) int { return b.rank() - a.rank() })
	for _, p := range processes {
		p.Continue()
		if p.close == nil { // it has not started
			continue
		}
		if err := p.close(); err != nil && !p.dead() {
			f.t.Errorf("the end of a process: %v", err)
		}
	}
	<-time.After(2 * time.Second) // go-redis checks once a second whether a pool that cannot connect was closed
	// The history of flows stays.
	keys := slices.DeleteFunc(f.Keys(), func(key string) bool { return strings.HasSuffix(key, "}:runs") })
	f.server.Close()
	slices.Sort(keys)
	if len(keys) > 0 {
		f.t.Errorf("keys are left in the broker; delete named queues with executor.Delete: %q", keys)
	}
	for _, stack := range others() {
		f.t.Errorf("a goroutine is left:\n%s", stack)
	}
}

// rank orders the ends of processes: Executors first, since their queues are deleted with them.
func (p *Process) rank() int {
	if p.executor {
		return 1
	}
	return 0
}

func (p *Process) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killed
}

// settled returns how long the clean-ups after dead processes take; 0 if no process is dead.
func (f *Fleet) settled() (after time.Duration) {
	if slices.ContainsFunc(f.Keys(), func(key string) bool { return strings.HasSuffix(key, ":fenced") }) {
		after = settle
	}
	for _, p := range f.all() {
		if p.dead() {
			after = max(after, settle)
			if p.executor || slices.ContainsFunc(f.Keys(), func(key string) bool { return strings.Contains(key, "}:f:") }) {
				return settle + grace
			}
		}
	}
	return after
}

var bubble = regexp.MustCompile(`^goroutine \d+ .*(synctest bubble \d+)`)

var runsBubble = regexp.MustCompile(`(?m)^(internal/synctest\.Run|testing/synctest\.testingSynctestTest)\(`)

// others returns the stacks of the other goroutines of the bubble, except that of Run.
func others() (stacks []string) {
	synctest.Wait()
	dump := make([]byte, 1<<20)
	dump = dump[:runtime.Stack(dump, true)]
	var own []byte
	for i, stack := range bytes.Split(dump, []byte("\n\n")) {
		head := bubble.FindSubmatch(stack)
		switch {
		case head == nil:
		case i == 0:
			own = head[1]
		case bytes.Equal(head[1], own) && !runsBubble.Match(stack):
			stacks = append(stacks, string(stack))
		}
	}
	return stacks
}
