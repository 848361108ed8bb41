package main

import (
	"errors"
	"fmt"
	"iter"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/cmd/internal/jobs"
)

// fileFlags returns the flags of run for its files.
func fileFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "joblog", Aliases: []string{"jl"}, Usage: "write a row for each item to `FILE`, in the format of GNU parallel; +FILE keeps the rows of the file"},
		&urfave.BoolFlag{Name: "resume", DisableDefaultText: true, Usage: "skip items that the joblog has"},
		&urfave.BoolFlag{Name: "resume-failed", DisableDefaultText: true, Usage: "skip items that have succeeded, according to the joblog"},
		&urfave.BoolFlag{Name: "retry-failed", DisableDefaultText: true, Usage: "run the commands that have failed, according to the joblog, and read no input"},
		&urfave.StringFlag{Name: "failed", Usage: "write the failed items to `FILE`"},
		&urfave.StringFlag{Name: "results", Aliases: []string{"res"}, Usage: "write stdout and stderr of each item below `DIR`"},
	}
}

// runFiles are the files of a run.
type runFiles struct {
	logs    []cli.Log
	skip    func(number int64) bool // according to the joblog
	history *jobs.History
}

// fromJoblog reports whether the input is the joblog.
func fromJoblog(c *urfave.Context) bool { return c.Bool("retry-failed") }

// openFiles opens the files of the flags. The caller closes them.
func openFiles(c *urfave.Context, lines lineOptions, console *cli.Console, in jobInput) (_ *runFiles, err error) {
	f := &runFiles{skip: func(int64) bool { return false }}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if dir := c.String("results"); dir != "" {
		f.logs = append(f.logs, &jobs.Results{Dir: dir, Names: in.names, Warn: func(text string) {
			_, _ = fmt.Fprintf(console, "%s: --results: %s\n", c.App.Name, text)
		}})
	}
	if path := c.String("failed"); path != "" {
		input, _ := c.App.Reader.(*os.File)
		open := jobs.CreateFailed
		if c.Bool("resume") {
			open = jobs.ContinueFailed
		}
		failed, err := open(path, lines.end, in.head, input)
		if err != nil {
			return nil, err
		}
		f.logs = append(f.logs, failed)
	}
	return f, f.joblog(c)
}

// joblog opens the joblog, and reads it first if a flag needs its rows.
func (f *runFiles) joblog(c *urfave.Context) (err error) {
	path, resumes := c.String("joblog"), false
	for _, flag := range []string{"resume", "resume-failed", "retry-failed"} {
		resumes = resumes || c.Bool(flag)
		if c.Bool(flag) && path == "" {
			return cli.Usagef("--%s reads the joblog: give --joblog FILE", flag)
		}
	}
	if path == "" {
		return nil
	}
	if resumes {
		if f.history, err = jobs.ReadJoblog(path); err != nil {
			return err
		}
	}
	switch {
	case c.Bool("resume-failed"):
		f.skip = f.history.Succeeded
	case c.Bool("resume"):
		f.skip = f.history.Done
	}
	open := jobs.CreateJoblog
	if resumes {
		open = jobs.ContinueJoblog
	}
	log, err := open(path)
	if err == nil {
		f.logs = append(f.logs, log)
	}
	return err
}

// remaining returns the jobs that are not skipped.
func (f *runFiles) remaining(all iter.Seq2[jobs.Job, error]) iter.Seq2[jobs.Job, error] {
	return func(yield func(jobs.Job, error) bool) {
		for job, err := range all {
			if (err != nil || !f.skip(job.Number)) && !yield(job, err) {
				return
			}
		}
	}
}

// failed returns the jobs for --retry-failed.
func (f *runFiles) failed() iter.Seq2[jobs.Job, error] {
	return func(yield func(jobs.Job, error) bool) {
		for _, job := range f.history.Failed() {
			if !yield(job, nil) {
				return
			}
		}
	}
}

func (f *runFiles) close() (err error) {
	for _, log := range f.logs {
		err = errors.Join(err, log.Close())
	}
	return err
}

// withFiles opens the files of a run, calls do and closes them.
func withFiles(c *urfave.Context, lines lineOptions, console *cli.Console, in jobInput, do func(*runFiles) error) error {
	files, err := openFiles(c, lines, console, in)
	if err != nil {
		return err
	}
	return errors.Join(do(files), files.close())
}
