package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A comparison runs a function of dqbridge run and another program on the same lines.
type comparison struct {
	lines int
	spec  string   // of the function
	other []string // the other program
	flags []string // of dqbridge run
}

func commandTargets() []Target {
	tr := comparison{lines: 1_000_000, spec: "pipe:tr a-z A-Z", other: []string{"parallel", "--pipe", "-k", "tr a-z A-Z"}}
	start := comparison{lines: 20_000, spec: "pipe:sleep 0.3; cat", other: []string{"parallel", "-j4", "--pipe", "-N", "5000", "-k", "sleep 0.3; cat"}}
	coproc := comparison{lines: 1_000_000, spec: "coproc:sed -u s/1/2/", other: []string{"sed", "-u", "s/1/2/"}}
	list := []Target{
		{Name: "command", What: "seq 10000000 | dqbridge run inc double, against awk", Want: 3, Most: true, Unit: "x", measure: overAwk},
		{Name: "pipe", What: "1,000,000 lines of pipe:tr, against parallel --pipe", Want: 1.5, Most: true, Unit: "x", measure: tr.embedded},
		{Name: "pipe-redis", What: "1,000,000 lines of pipe:tr over Redis", Want: 1.5, Most: true, Unit: "x", measure: tr.overRedis},
		{Name: "pipe-busy", What: "1,000,000 lines of pipe:tr beside 8 busy processes", Want: 1.5, Most: true, Unit: "x", measure: busy(tr.embedded)},
		{Name: "pipe-processes", What: "processes of pipe:tr for 1,000,000 lines", Want: 60, Most: true, Unit: "processes", measure: processes},
		{Name: "pipe-processes-busy", What: "the same beside 8 busy processes", Want: 60, Most: true, Unit: "processes", measure: busy(processes)},
		{Name: "pipe-start", What: "20,000 lines of a command with 0.3 s of start, against parallel --pipe -N 5000", Want: 1.2, Most: true, Unit: "x", measure: start.embedded},
		{Name: "pipe-start-busy", What: "the same beside 8 busy processes", Want: 1.2, Most: true, Unit: "x", measure: busy(start.embedded)},
		{Name: "batch-50ms", What: "items/s of a DefineBatch of 50 ms a call, over those of the best fixed size", Want: 0.9, Unit: "x", measure: slowCalls},
		{Name: "batch-50ms-busy", What: "the same beside 8 busy processes", Want: 0.9, Unit: "x", measure: busy(slowCalls)},
		{Name: "coproc", What: "1,000,000 lines of coproc:sed -u, against sed -u", Want: 1.5, Most: true, Unit: "x", measure: coproc.embedded},
		{Name: "coproc-busy", What: "the same beside 8 busy processes", Want: 1.5, Most: true, Unit: "x", measure: busy(coproc.embedded)},
	}
	for _, n := range []string{"1", "4", "64"} {
		cat := comparison{lines: 3000, spec: "exec:cat", other: []string{"xargs", "-P", n, "-n1", "sh", "-c", "cat"}, flags: []string{"-j", n}}
		list = append(list, Target{Name: "exec-" + n, What: "3,000 lines of exec:cat in " + n + " slots, against xargs with sh -c", Want: 1.11, Most: true, Unit: "x", measure: cat.embedded})
		cat.other = []string{"parallel", "-k", "-j" + n, "echo {} | cat"}
		list = append(list, Target{Name: "exec-parallel-" + n, What: "the same, against parallel -k", Want: 0.25, Most: true, Unit: "x", measure: cat.embedded})
	}
	return list
}

// busy measures beside processes that keep all processors busy.
func busy(f figure) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		var others []*exec.Cmd
		defer func() {
			for _, other := range others {
				_ = other.Process.Kill()
				_ = other.Wait()
			}
		}()
		for range 8 {
			other := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
			if err := other.Start(); err != nil {
				return 0, "", err
			}
			others = append(others, other)
		}
		return f(ctx, r)
	}
}

// command is a command line of dqbridge, which is built first.
func (r *run) command(ctx context.Context, args ...string) (line []string, err error) {
	if r.program == "" {
		const module = "github.com/dqbridge/dqbridge"
		source, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			return nil, fmt.Errorf("go list -m %s: %w", module, err)
		}
		if r.dir, err = os.MkdirTemp("", "dqbench"); err != nil {
			return nil, err
		}
		program := filepath.Join(r.dir, "dqbridge")
		build := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/dqbridge")
		build.Dir = strings.TrimSpace(string(source))
		if out, err := build.CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("go build: %w\n%s", err, out), os.RemoveAll(r.dir))
		}
		r.program = program
	}
	return append([]string{r.program}, args...), nil
}

// piped runs seq | command and returns the seconds.
func piped(ctx context.Context, lines int, out *os.File, command ...string) (float64, error) {
	seq := exec.CommandContext(ctx, "seq", strconv.Itoa(lines))
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS=")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	from, to, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	seq.Stdout, cmd.Stdin = to, from
	begin := time.Now()
	if err := errors.Join(seq.Start(), cmd.Start()); err != nil {
		return 0, err
	}
	err = errors.Join(to.Close(), from.Close(), seq.Wait(), cmd.Wait())
	return time.Since(begin).Seconds(), err
}

// over compares the times of two commands, whose output goes to /dev/null.
func (r *run) over(ctx context.Context, lines int, ours, theirs []string) (float64, string, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, "", err
	}
	defer null.Close()
	return overSeconds(r.Turns(
		func() (float64, error) { return piped(ctx, lines, null, ours...) },
		func() (float64, error) { return piped(ctx, lines, null, theirs...) },
	))
}

// overAwk checks the output of both programs before it compares them.
func overAwk(ctx context.Context, r *run) (float64, string, error) {
	ours, err := r.command(ctx, "run", "inc", "double")
	if err != nil {
		return 0, "", err
	}
	awk := []string{"awk", "{ print ($1 + 1) * 2 }"}
	for _, command := range [][]string{ours, awk} {
		out, err := r.output(ctx, 3, command...)
		if err == nil && string(out) != "4\n6\n8\n" {
			err = fmt.Errorf("%s printed %q", command[0], out)
		}
		if err != nil {
			return 0, "", err
		}
	}
	return r.over(ctx, 10_000_000, ours, awk)
}

// output runs seq | command and returns the output.
func (r *run) output(ctx context.Context, lines int, command ...string) ([]byte, error) {
	file, err := os.Create(filepath.Join(r.dir, "output"))
	if err != nil {
		return nil, err
	}
	_, err = piped(ctx, lines, file, command...)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(file.Name())
}

// embedded compares on the embedded broker.
func (c comparison) embedded(ctx context.Context, r *run) (float64, string, error) {
	if _, err := exec.LookPath(c.other[0]); err != nil {
		return 0, "", fmt.Errorf("%s is missing, install its package: %w", c.other[0], err)
	}
	ours, err := r.command(ctx, append([]string{"run", "--fn", "f=" + c.spec, "f"}, c.flags...)...)
	if err != nil {
		return 0, "", err
	}
	return r.over(ctx, c.lines, ours, c.other)
}

// overRedis compares on the Redis of the measurements.
func (c comparison) overRedis(ctx context.Context, r *run) (float64, string, error) {
	c.flags = []string{"--redis", "redis://" + r.Server.Address + "/?ns=pipe"}
	return c.embedded(ctx, r)
}

// processes counts the processes for a million short lines: each one appends a line to a file.
func processes(ctx context.Context, r *run) (float64, string, error) {
	medians, err := r.Turns(func() (float64, error) {
		ours, err := r.command(ctx, "run", "--fn")
		if err != nil {
			return 0, err
		}
		started := filepath.Join(r.dir, "started")
		if err := os.RemoveAll(started); err != nil {
			return 0, err
		}
		if _, err := r.output(ctx, 1_000_000, append(ours, "f=pipe:echo >> "+started+"; tr a-z A-Z", "f")...); err != nil {
			return 0, err
		}
		lines, err := os.ReadFile(started)
		return float64(bytes.Count(lines, []byte("\n"))), err
	})
	return medians[0], "", err
}
