// Package role runs parts of a measurement as separate processes: this binary again, with a role.
package role

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
)

// A Func is a role. It calls ready once, after the setup that is not measured. ready returns when
// the process may start. The role returns when it is done or ctx ends, with the number of items
// that it has processed.
type Func func(ctx context.Context, args json.RawMessage, ready func(answer string)) (items int, err error)

// A Report is the result of a process, from the return of ready on.
type Report struct {
	Items   int     `json:"items"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Peak    float64 `json:"peak_bytes"` // since the start of the process
	Error   string  `json:"error,omitempty"`
}

// word is the first argument of a process with a role.
const word = "role"

// Is reports whether the arguments of this process name a role.
func Is(args []string) bool { return len(args) > 0 && args[0] == word }

// Serve runs a role until it is done or stdin ends.
func Serve(ctx context.Context, args []string, roles map[string]Func) error {
	if len(args) != 3 || roles[args[1]] == nil {
		return fmt.Errorf("not a role: %q", args)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan struct{})
	go func() {
		defer cancel() // the parent stops the role, or is gone
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return
		}
		close(told)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	out := json.NewEncoder(os.Stdout)
	begin, cpu := time.Now(), CPU()
	items, err := roles[args[1]](ctx, json.RawMessage(args[2]), func(answer string) {
		_ = out.Encode(answer) // if it fails, the next write reports it
		select {
		case <-told:
		case <-ctx.Done():
		}
		begin, cpu = time.Now(), CPU()
	})
	r := Report{Items: items, Seconds: time.Since(begin).Seconds(), CPU: (CPU() - cpu).Seconds()}
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Error = err.Error()
	}
	if r.Peak, err = redisd.PeakOf("self"); err != nil {
		r.Error += err.Error()
	}
	return out.Encode(r)
}

// CPU returns the processor time that this process has used.
func CPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// A Process is a process with a role.
type Process struct {
	Answer string // argument of ready
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
}

// Start starts a process and waits until it is ready.
func Start(ctx context.Context, name string, args any) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	p := &Process{name: name, cmd: exec.CommandContext(ctx, program, word, name, string(text))}
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if !p.lines.Scan() {
		return nil, fmt.Errorf("%s said nothing: %w", name, errors.Join(p.lines.Err(), p.cmd.Wait()))
	}
	var early Report
	if json.Unmarshal(p.lines.Bytes(), &early) == nil {
		return nil, errors.Join(fmt.Errorf("%s: %s", name, early.Error), p.cmd.Wait())
	}
	return p, json.Unmarshal(p.lines.Bytes(), &p.Answer)
}

// Go starts the role of the process.
func (p *Process) Go() error {
	_, err := p.stdin.Write([]byte("\n"))
	return err
}

// Wait waits for the end of the process and returns its report.
func (p *Process) Wait() (r Report, err error) {
	if !p.lines.Scan() {
		return r, fmt.Errorf("%s has not told how it ended: %w", p.name, errors.Join(p.lines.Err(), p.cmd.Wait()))
	}
	if err := json.Unmarshal(p.lines.Bytes(), &r); err != nil {
		return r, err
	}
	if err := p.cmd.Wait(); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, fmt.Errorf("%s: %s", p.name, r.Error)
	}
	return r, nil
}

// Stop ends a process that runs until it is stopped.
func (p *Process) Stop() (Report, error) {
	_ = p.stdin.Close() // it may have ended
	return p.Wait()
}
