package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	urfave "github.com/urfave/cli/v2"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/internal/runner"
	"github.com/dqbridge/dqbridge/internal/worker"
	"github.com/dqbridge/dqbridge/workers"
)

// A reloader reads the configuration file again at SIGHUP.
type reloader struct {
	args      []string // of the command
	requested chan struct{}
	active    atomic.Bool // there is a configuration file, and the worker has started
}

func newReloader(args []string) *reloader {
	return &reloader{args: args, requested: make(chan struct{}, 1)}
}

// hangup asks for a reload. It returns false if there is no configuration file.
func (r *reloader) hangup() bool {
	if !r.active.Load() {
		return false
	}
	select {
	case r.requested <- struct{}{}:
	default: // one is due, and reads the file later than now
	}
	return true
}

// tuned are the settings of a running worker, with the parts that a change of them affects.
type tuned struct {
	settings
	offer        offer
	tuning       *worker.Tuning
	log          *slog.Logger
	setVerbosity func(cli.Verbosity)
}

// start reloads the settings at each SIGHUP until stop is called.
func (r *reloader) start(ctx context.Context, t tuned) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	r.active.Store(true)
	go func() {
		defer close(ended)
		r.run(ctx, t)
	}()
	return func() {
		r.active.Store(false)
		cancel()
		<-ended
	}
}

// run reloads the settings at each request until ctx ends.
func (r *reloader) run(ctx context.Context, t tuned) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.requested:
		}
		next, err := r.read(ctx)
		if err == nil {
			err = t.change(ctx, next)
		}
		if err != nil {
			t.log.WarnContext(ctx, "the configuration was not reloaded, and all settings stay", "err", err)
		}
	}
}

// read reads the command line and the file again.
func (r *reloader) read(ctx context.Context) (s settings, err error) {
	err = cli.Parse(ctx, app(func(c *urfave.Context) (err error) {
		s, err = read(c)
		return err
	}), r.args)
	return s, err
}

// change gives the worker those of the settings that may change, and reports the others. After an
// error nothing has changed.
func (t *tuned) change(ctx context.Context, next settings) error {
	offer, functions := t.offer, []*runner.Function(nil)
	if !slices.Equal(next.commands, t.commands) {
		var err error
		if offer, functions, err = t.redefine(next.commands); err != nil {
			return err
		}
	}
	if err := next.check(cli.Names(offer.functions(), workers.Function.Name)); err != nil {
		return err
	}
	for _, name := range t.changed(next) {
		t.log.WarnContext(ctx, "a setting has changed in the configuration and stays until the worker starts again", "key", name)
	}
	if next.verbosity != t.verbosity {
		t.setVerbosity(next.verbosity)
	}
	if next.concurrency != t.concurrency || !maps.Equal(next.limits, t.limits) || functions != nil {
		if err := t.tuning.Set(ctx, next.concurrency, next.limits, functions); err != nil {
			t.log.WarnContext(ctx, "other processes see the old concurrency and functions until the worker starts again", "err", err)
		}
	}
	t.offer.commands.Retire(offer.commands)
	t.concurrency, t.limits, t.verbosity, t.commands, t.offer = next.concurrency, next.limits, next.verbosity, next.commands, offer
	t.log.WarnContext(ctx, "the configuration was reloaded", "concurrency", t.concurrency, "limits", t.limits, "functions", cli.Names(offer.functions(), workers.Function.Name),
		"verbose", t.verbosity.Verbose, "log-level", t.verbosity.Level)
	return nil
}

// redefine returns the offer with other commands, and all its functions for the worker.
func (t *tuned) redefine(commands []string) (offer, []*runner.Function, error) {
	next, err := t.offer.with(commands)
	if err != nil {
		return offer{}, nil, err
	}
	options := worker.Options{Functions: []*runner.Function{}} // so that it is not nil without functions
	err = workers.Functions(next.functions()...)(&options)
	return next, options.Functions, err
}
