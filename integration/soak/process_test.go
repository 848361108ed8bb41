package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A test binary with part in its environment is a process of that role.
const part = "DQBRIDGE_SOAK_PART"

// lease is the lease of all processes.
const lease = 2 * time.Second

// A role is the task of a process.
type role struct {
	Name string // work, gather or visit
	URL  string
	N    int // of the visit
}

func roleOfProcess() (r role, ok bool) {
	text := os.Getenv(part)
	if text == "" {
		return r, false
	}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		panic(err)
	}
	return r, true
}

// play runs the process.
func (r role) play() {
	go func() { // the pipe closes when the test is gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := r.run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s %d: %v\n", r.Name, r.N, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (r role) run(ctx context.Context) error {
	quiet := slog.New(slog.DiscardHandler)
	if r.Name == "work" {
		w, err := workers.New(r.URL, all, workers.Concurrency(4), workers.Lease(lease), workers.Logger(quiet))
		if err != nil {
			return err
		}
		return w.Run(ctx)
	}
	ex, err := executor.New(ctx, r.URL, executor.Lease(lease), executor.Logger(quiet))
	if err != nil {
		return err
	}
	if r.Name == "gather" {
		return errors.Join(drain(ctx, ex), ex.Close())
	}
	return errors.Join(visits[r.N%len(visits)].run(ctx, ex, r.N), ex.Close())
}

// A process is a process that the test has started.
type process struct {
	cmd    *exec.Cmd
	leash  io.Closer
	exited chan struct{}
	err    error // valid once exited is closed
}

func start(t *testing.T, r role) *process {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0]), exited: make(chan struct{})}
	p.cmd.Env, p.cmd.Stderr = append(os.Environ(), part+"="+string(text)), os.Stderr
	if p.leash, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill sends SIGKILL.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
}

// terminate ends the process normally.
func (p *process) terminate() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	<-p.exited
	return p.err
}
