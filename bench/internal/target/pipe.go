package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// A rival is another way to process lines by a command, for comparison with pipe:.
type rival struct {
	lines int
	spec  string   // function of dqbridge run
	other []string // command line of the rival
	flags []string // flags of dqbridge run
}

var (
	shortLines = rival{lines: 1_000_000, spec: "pipe:tr a-z A-Z", other: []string{"parallel", "--pipe", "-k", "tr a-z A-Z"}}
	dearStart  = rival{lines: 20_000, spec: "pipe:sleep 0.3; cat", other: []string{"parallel", "-j4", "--pipe", "-N", "5000", "-k", "sleep 0.3; cat"}}
	coprocess  = rival{lines: 1_000_000, spec: "coproc:sed -u s/1/2/", other: []string{"sed", "-u", "s/1/2/"}}
)

func pipeTargets() []Target {
	return []Target{
		{Name: "pipe", What: "1,000,000 lines of pipe:tr, against parallel --pipe", Want: 1.5, Most: true, Unit: "x", measure: shortLines.quiet},
		{Name: "pipe-redis", What: "1,000,000 lines of pipe:tr over Redis", Want: 1.5, Most: true, Unit: "x", measure: shortLines.overRedis},
		{Name: "pipe-busy", What: "1,000,000 lines of pipe:tr beside 8 busy processes", Want: 1.5, Most: true, Unit: "x", measure: busy(shortLines.quiet)},
		{Name: "pipe-processes", What: "processes of pipe:tr for 1,000,000 lines", Want: 60, Most: true, Unit: "processes", measure: processes},
		{Name: "pipe-processes-busy", What: "the same beside 8 busy processes", Want: 60, Most: true, Unit: "processes", measure: busy(processes)},
		{Name: "pipe-start", What: "20,000 lines of a command with 0.3 s of start, against parallel --pipe -N 5000", Want: 1.2, Most: true, Unit: "x", measure: dearStart.quiet},
		{Name: "pipe-start-busy", What: "the same beside 8 busy processes", Want: 1.2, Most: true, Unit: "x", measure: busy(dearStart.quiet)},
		{Name: "batch-50ms", What: "items/s of a DefineBatch of 50 ms a call, over those of the best fixed size", Want: 0.9, Unit: "x", measure: dearCalls},
		{Name: "batch-50ms-busy", What: "the same beside 8 busy processes", Want: 0.9, Unit: "x", measure: busy(dearCalls)},
		{Name: "coproc", What: "1,000,000 lines of coproc:sed -u, against sed -u", Want: 1.5, Most: true, Unit: "x", measure: coprocess.quiet},
		{Name: "coproc-busy", What: "the same beside 8 busy processes", Want: 1.5, Most: true, Unit: "x", measure: busy(coprocess.quiet)},
	}
}

// quiet compares dqbridge run with the rival.
func (v rival) quiet(ctx context.Context, r *run) (_ float64, _ string, err error) {
	if _, err := exec.LookPath(v.other[0]); err != nil {
		return 0, "", fmt.Errorf("there is nothing to compare with, install the package %s: %w", v.other[0], err)
	}
	dir, err := os.MkdirTemp("", "dqbench")
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "dqbridge")
	if err := build(ctx, program); err != nil {
		return 0, "", err
	}
	medians, err := r.Turns(
		func() (float64, error) {
			return piped(ctx, v.lines, io.Discard, append([]string{program, "run", "--fn", "f=" + v.spec, "f"}, v.flags...)...)
		},
		func() (float64, error) { return piped(ctx, v.lines, io.Discard, v.other...) },
	)
	if err != nil {
		return 0, "", err
	}
	return medians[0] / medians[1], fmt.Sprintf("%.2f s over %.2f s", medians[0], medians[1]), nil
}

// overRedis is quiet with the Redis of the measurements.
func (v rival) overRedis(ctx context.Context, r *run) (float64, string, error) {
	v.flags = append(v.flags, "--redis", "redis://"+r.Server.Address+"/?ns=pipe")
	return v.quiet(ctx, r)
}

// processes counts the processes for a million short lines; the result is the median of all runs.
func processes(ctx context.Context, r *run) (_ float64, _ string, err error) {
	dir, err := os.MkdirTemp("", "dqbench")
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, starts := filepath.Join(dir, "dqbridge"), filepath.Join(dir, "starts")
	if err := build(ctx, program); err != nil {
		return 0, "", err
	}
	medians, err := r.Turns(func() (float64, error) {
		if err := os.RemoveAll(starts); err != nil {
			return 0, err
		}
		if _, err := piped(ctx, shortLines.lines, io.Discard, program, "run", "--fn", "f=pipe:echo >> "+starts+"; tr a-z A-Z", "f"); err != nil {
			return 0, err
		}
		all, err := os.ReadFile(starts)
		return float64(bytes.Count(all, []byte("\n"))), err
	})
	if err != nil {
		return 0, "", err
	}
	return medians[0], "", nil
}
