package command

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

func TestProcessesDieWithTheWorker(t *testing.T) {
	f := newFifo(t)
	worker := exec.Command(os.Args[0])
	worker.Env = append(os.Environ(), workerEnv+"=exec 9>"+f.path+"; echo up >&9; exec sleep 1000")
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	file := f.read(t)
	if err := worker.Process.Kill(); err != nil {
		t.Error(err)
	}
	wantEOF(t, file)
	wantError(t, worker.Wait(), "signal: killed")
}

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
