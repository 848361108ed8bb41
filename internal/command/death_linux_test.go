package command

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// onDyingThread calls f on a thread that ends afterwards. The main thread would
// not.
func onDyingThread(f func(thread int)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if thread := syscall.Gettid(); thread != os.Getpid() {
			f(thread)
		} else {
			onDyingThread(f)
		}
	}()
	<-done
}

func TestProcessesOutliveTheThreadOfTheirCaller(t *testing.T) {
	c := newCoproc(t, withPid)
	var task, first string
	onDyingThread(func(thread int) {
		task = fmt.Sprintf("/proc/self/task/%d", thread)
		var err error
		if first, err = c.call(t.Context(), "x"); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if _, err := os.Stat(task); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the thread does not end")
		}
	}
	if second := answer(t, c, "x"); second != first {
		t.Errorf("%q, then %q", first, second)
	}
}
