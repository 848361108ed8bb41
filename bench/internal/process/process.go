// Package process runs parts of a measurement as separate processes: this program, started again
// with a role.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/redisd"
)

// A Role calls ready once, after its set-up, which is not measured. ready blocks until Go. The role
// returns the number of its items when it is done or ctx ends.
type Role func(ctx context.Context, args json.RawMessage, ready func(answer string)) (items int, err error)

// A Report has the figures of a process from ready to its end.
type Report struct {
	Items int     `json:"items"`
	CPU   float64 `json:"cpu_seconds"`
	Peak  float64 `json:"peak_bytes"` // since its start
	Error string  `json:"error,omitempty"`
}

// word is the first argument of a process with a role.
const word = "role"

// Main runs a role, if the arguments of this process name one, and otherwise run. It ends ctx at a
// signal, and exits with 1 after an error.
func Main(name string, roles map[string]Role, run func(ctx context.Context, args []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	args := os.Args[1:]
	var err error
	if len(args) > 0 && args[0] == word {
		err = serve(ctx, args, roles)
	} else {
		err = run(ctx, args)
	}
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// serve runs a role until it is done or stdin ends.
func serve(ctx context.Context, args []string, roles map[string]Role) error {
	if len(args) != 3 || roles[args[1]] == nil {
		return fmt.Errorf("not a role: %q", args)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := make(chan struct{})
	go func() {
		defer cancel() // the parent has closed stdin or has exited
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
			return
		}
		close(started)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	out := json.NewEncoder(os.Stdout)
	cpu := CPU()
	items, err := roles[args[1]](ctx, json.RawMessage(args[2]), func(answer string) {
		_ = out.Encode(answer) // the report fails too
		select {
		case <-started:
		case <-ctx.Done():
		}
		cpu = CPU()
	})
	r := Report{Items: items, CPU: (CPU() - cpu).Seconds()}
	if err != nil && !errors.Is(err, context.Canceled) {
		r.Error = err.Error()
	}
	if r.Peak, err = redisd.PeakOf("self"); err != nil {
		r.Error += err.Error()
	}
	return out.Encode(r)
}

// CPU is the processor time of this process.
func CPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// A Process has a role.
type Process struct {
	Answer string // of ready
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  *bufio.Scanner
}

// Start starts a process and returns when it is ready.
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
		return nil, fmt.Errorf("%s exited before it was ready: %w", name, errors.Join(p.lines.Err(), p.cmd.Wait()))
	}
	var early Report
	if json.Unmarshal(p.lines.Bytes(), &early) == nil {
		return nil, errors.Join(fmt.Errorf("%s: %s", name, early.Error), p.cmd.Wait())
	}
	return p, json.Unmarshal(p.lines.Bytes(), &p.Answer)
}

// Go starts the measured part.
func (p *Process) Go() error {
	_, err := p.stdin.Write([]byte("\n"))
	return err
}

// Wait waits for the end of the process and returns its report.
func (p *Process) Wait() (r Report, err error) {
	if !p.lines.Scan() {
		return r, fmt.Errorf("%s exited without a report: %w", p.name, errors.Join(p.lines.Err(), p.cmd.Wait()))
	}
	err = errors.Join(json.Unmarshal(p.lines.Bytes(), &r), p.cmd.Wait())
	if err == nil && r.Error != "" {
		err = fmt.Errorf("%s: %s", p.name, r.Error)
	}
	return r, err
}

// Stop ends the role and waits for the end of the process.
func (p *Process) Stop() (Report, error) {
	_ = p.stdin.Close() // the process may have exited
	return p.Wait()
}
