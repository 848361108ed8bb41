package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const commandLines = 10_000_000

func commandTargets() []Target {
	return []Target{{Name: "command", What: "seq 10000000 | dqbridge run inc double, against awk", Want: 3, Most: true, Unit: "x", measure: againstAwk}}
}

// againstAwk measures dqbridge and awk with all input and output through pipes.
func againstAwk(ctx context.Context, r *run) (_ float64, _ string, err error) {
	dir, err := os.MkdirTemp("", "dqbench")
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "dqbridge")
	if err := build(ctx, program); err != nil {
		return 0, "", err
	}
	awk := []string{"awk", "{ print ($1 + 1) * 2 }"}
	for _, command := range [][]string{{program, "run", "inc", "double"}, awk} {
		if err := right(ctx, command); err != nil {
			return 0, "", err
		}
	}
	medians, err := r.Turns(
		func() (float64, error) { return piped(ctx, commandLines, io.Discard, program, "run", "inc", "double") },
		func() (float64, error) { return piped(ctx, commandLines, io.Discard, awk...) },
	)
	if err != nil {
		return 0, "", err
	}
	return medians[0] / medians[1], fmt.Sprintf("%.2f s over %.2f s", medians[0], medians[1]), nil
}

// build builds a command in its own module.
func build(ctx context.Context, program string) error {
	const module = "github.com/dqbridge/dqbridge"
	dir, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("go list -m %s: %w", module, err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/dqbridge")
	cmd.Dir = strings.TrimSpace(string(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// right compares the output for a few lines.
func right(ctx context.Context, command []string) error {
	var out strings.Builder
	if _, err := piped(ctx, 3, &out, command...); err != nil {
		return err
	}
	if out.String() != "4\n6\n8\n" {
		return fmt.Errorf("%s printed %q", command[0], out.String())
	}
	return nil
}

// piped runs seq | command and returns the time in seconds.
func piped(ctx context.Context, lines int, out io.Writer, command ...string) (float64, error) {
	seq := exec.CommandContext(ctx, "seq", fmt.Sprint(lines))
	run := exec.CommandContext(ctx, command[0], command[1:]...)
	run.Env = append(os.Environ(), "DQBRIDGE_REDIS=")
	if out == io.Discard {
		null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		defer null.Close()
		out = null
	}
	run.Stdout, run.Stderr = out, os.Stderr
	from, to, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	seq.Stdout, run.Stdin = to, from
	begin := time.Now()
	if err := errors.Join(seq.Start(), run.Start()); err != nil {
		return 0, err
	}
	err = errors.Join(to.Close(), from.Close(), seq.Wait(), run.Wait())
	return time.Since(begin).Seconds(), err
}
