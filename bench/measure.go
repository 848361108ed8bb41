package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/executor"
)

type bench struct {
	settings
	server   *server
	progress io.Writer
}

// say tells what is being done, where nobody minds if it cannot.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format, args...)
}

func (b *bench) wants(part string) bool { return slices.Contains(b.only, part) }

// A subject is one way to move numbers through inc and double.
type subject struct {
	part, name string
	// open makes what is not measured: connections and the fleet.
	open func(ctx context.Context) (opened, error)
}

// opened is a subject that is ready.
type opened struct {
	pipeline func(ctx context.Context, n int) error
	singles  func(ctx context.Context, n int) ([]time.Duration, error)
	close    func() error
}

// subjects are in the order of the table; the first two are what the others
// are compared with.
func (b *bench) subjects() []subject {
	bridged := func(url string) func(context.Context) (opened, error) {
		return func(ctx context.Context) (opened, error) {
			ex, err := connect(ctx, url)
			if err != nil {
				return opened{}, err
			}
			return opened{
				pipeline: func(ctx context.Context, n int) error { return pipeline(ctx, ex, n) },
				singles:  func(ctx context.Context, n int) ([]time.Duration, error) { return singles(ctx, ex, n) },
				close:    ex.Close,
			}, nil
		}
	}
	return []subject{
		{partChannels, "Go channels, 4 + 4 goroutines", func(context.Context) (opened, error) {
			return opened{pipeline: channels, close: func() error { return nil }}, nil
		}},
		{partHand, "go-redis by hand", func(ctx context.Context) (opened, error) {
			h, err := newHand(ctx, b.server)
			if err != nil {
				return opened{}, err
			}
			return opened{h.pipeline, h.singles, func() error { return h.close(ctx) }}, nil
		}},
		{partRedis, "dqbridge, Redis", bridged(b.server.url())},
		{partSlices, "dqbridge, Redis, slices", func(ctx context.Context) (opened, error) {
			ex, err := connect(ctx, b.server.url())
			if err != nil {
				return opened{}, err
			}
			return opened{pipeline: func(ctx context.Context, n int) error { return sliced(ctx, ex, n) }, close: ex.Close}, nil
		}},
		{partEmbedded, "dqbridge, embedded", bridged("")},
	}
}

// measure fills the report.
func (b *bench) measure(ctx context.Context, r *report) error {
	for _, s := range b.subjects() {
		if b.wants(s.part) {
			r.Throughput = append(r.Throughput, throughput{Name: s.name, part: s.part})
		}
		if b.wants(partLatency) && s.part != partChannels && s.part != partSlices {
			r.Latency = append(r.Latency, latency{Name: s.name, part: s.part})
		}
	}
	for i := range b.runs {
		b.say("run %d of %d\n", i+1, b.runs)
		for _, s := range b.subjects() {
			if err := b.round(ctx, r, s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	if b.wants(partSleep) {
		if err := b.sleeps(ctx, r); err != nil {
			return fmt.Errorf("sleep: %w", err)
		}
	}
	if b.wants(partIdle) {
		if err := b.idle(ctx, r); err != nil {
			return fmt.Errorf("idle: %w", err)
		}
	}
	r.finish()
	return nil
}

// round measures a subject once.
func (b *bench) round(ctx context.Context, r *report, s subject) (err error) {
	rate, single := r.throughputOf(s.part), r.latencyOf(s.part)
	if rate == nil && single == nil {
		return nil
	}
	o, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if rate != nil {
		got, err := b.timed(ctx, o)
		if err != nil {
			return err
		}
		rate.runs = append(rate.runs, got)
	}
	if single != nil {
		took, err := o.singles(ctx, b.singles)
		if err != nil {
			return err
		}
		single.took = append(single.took, took...)
	}
	return ctx.Err()
}

// A pass is one run of a pipeline, counted for an item.
type pass struct {
	perSecond, allocs, commands, scripts float64
}

func (b *bench) timed(ctx context.Context, o opened) (p pass, err error) {
	before, err := b.server.usage(ctx)
	if err != nil {
		return p, err
	}
	var start, end runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&start)
	begin := time.Now()
	if err := o.pipeline(ctx, b.items); err != nil {
		return p, err
	}
	took := time.Since(begin)
	runtime.ReadMemStats(&end)
	after, err := b.server.usage(ctx)
	if err != nil {
		return p, err
	}
	n := float64(b.items)
	return pass{
		perSecond: n / took.Seconds(),
		allocs:    float64(end.Mallocs-start.Mallocs) / n,
		commands:  (after.commands - before.commands) / n,
		scripts:   (after.scripts - before.scripts) / n,
	}, nil
}

const sleepers = 8

// sleeps gives each of the hands an item of one second.
func (b *bench) sleeps(ctx context.Context, r *report) error {
	for _, place := range b.places() {
		b.say("%d items of one second, %s\n", sleepers, place.name)
		ex, err := connect(ctx, place.url, executor.Hands(sleepers))
		if err != nil {
			return err
		}
		begin := time.Now()
		err = sleeping(ctx, ex, sleepers)
		took := time.Since(begin)
		if err = errors.Join(err, ex.Close()); err != nil {
			return err
		}
		r.Sleep = append(r.Sleep, sleeps{Name: place.name, Items: sleepers, Hands: sleepers, Seconds: took.Seconds()})
	}
	return nil
}

type place struct{ name, url string }

func (b *bench) places() []place {
	return []place{{"dqbridge, Redis", b.server.url()}, {"dqbridge, embedded", ""}}
}

const idleTime = 3 * time.Second

// idle holds a pipeline open with nothing in it.
func (b *bench) idle(ctx context.Context, r *report) error {
	for _, place := range b.places() {
		b.say("an idle pipeline, %s\n", place.name)
		ex, err := connect(ctx, place.url)
		if err != nil {
			return err
		}
		got, err := b.waiting(ctx, ex)
		if err = errors.Join(err, ex.Close()); err != nil {
			return err
		}
		got.Name = place.name
		r.Idle = append(r.Idle, got)
	}
	return nil
}

func (b *bench) waiting(ctx context.Context, ex *executor.Executor) (i idle, err error) {
	in := make(chan int)
	out, err := open(ctx, ex, in, inc, double)
	if err != nil {
		return i, err
	}
	in <- 0 // all is set up when it comes out
	if first := <-out; first.Err != nil {
		return i, first.Err
	}
	used, err := b.server.usage(ctx)
	if err != nil {
		return i, err
	}
	begin, own := time.Now(), processCPU()
	select {
	case <-time.After(idleTime):
	case <-ctx.Done():
		return i, context.Cause(ctx)
	}
	seconds := time.Since(begin).Seconds()
	i.CPU = (processCPU() - own).Seconds() / seconds
	now, err := b.server.usage(ctx)
	if err != nil {
		return i, err
	}
	i.Commands, i.RedisCPU = (now.commands-used.commands)/seconds, (now.cpu-used.cpu)/seconds
	close(in)
	for last := range out {
		return i, fmt.Errorf("a result too many: %+v", last)
	}
	return i, nil
}

// processCPU is the processor time that this process has used.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// profiled runs f under the profiles that are asked for.
func (b *bench) profiled(f func() error) (err error) {
	if b.cpuProfile != "" {
		file, err := os.Create(b.cpuProfile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if b.memProfile == "" {
		return f()
	}
	runtime.MemProfileRate = 4 << 10
	if err := f(); err != nil {
		return err
	}
	file, err := os.Create(b.memProfile)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("allocs").WriteTo(file, 0), file.Close())
}
