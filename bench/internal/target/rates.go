package target

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/process"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
)

func rateTargets() []Target {
	return []Target{
		over("of-channels", "ints, against plain channels", 1.5, "redis", "channels"),
		over("of-hand", "ints, against by hand from channel to channel", 0.9, "redis", "hand-channels"),
		over("slices-of-hand", "slices, against by hand without channels", 2, "slices", "hand"),
		over("of-nats", "ints, against NATS JetStream in files", 100, "redis", "nats"),
		over("of-asynq", "ints, against asynq", 500, "redis", "asynq"),
		{Name: "rate-embedded", What: "embedded, ints", Want: 2_000_000, Unit: "items/s",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				err := r.Rates(ctx, r.compared())
				return r.rate("embedded"), "", err
			}},
		{Name: "commands", What: "Redis commands an item under load", Want: 0.02, Most: true, Unit: "commands",
			measure: perItem(func(p measure.Pass) float64 { return p.Commands })},
		{Name: "allocs", What: "allocations an item", Want: 0.3, Most: true, Unit: "allocs",
			measure: perItem(func(p measure.Pass) float64 { return p.Allocs })},
		{Name: "queued-bytes", What: "Redis bytes a queued int", Want: 16, Most: true, Unit: "bytes",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				bytes, err := r.Queued(ctx, r.named("redis")[0])
				return bytes, "", err
			}},
		{Name: "idle-commands", What: "commands a second of an idle process", Want: 2, Most: true, Unit: "commands",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				o, err := process.Run(ctx, process.Plan{Job: process.Job{N: 1, Concurrency: 4}, Workers: 2, Idle: 10 * time.Second})
				return o.Idle.Commands, "of a producer, a consumer and 2 workers, in one partition, over 10 s", err
			}},
	}
}

func tripTargets() []Target {
	trip := func(name, what string, want float64, row, calls string, p int) Target {
		return Target{Name: name, What: what, Want: want, Most: true, Unit: "x", measure: func(ctx context.Context, r *run) (float64, string, error) {
			if err := r.Singles(ctx, r.named("hand", row, calls, "embedded")); err != nil {
				return 0, "", err
			}
			hand := r.Trip("hand", p)
			return r.Trip(row, p) / hand, fmt.Sprintf("%.3f ms over %.3f ms, of %d items; the calls alone reach %.2f; embedded %.3f ms",
				r.Trip(row, p), hand, r.TripsOf(row), r.Trip(calls, p)/hand, r.Trip("embedded", p)), nil
		}}
	}
	return []Target{
		trip("p50-apart", "one item, p50, stages apart, against by hand", 1.25, "apart", "protocol-apart", 50),
		trip("p50", "one item, p50, fused, against by hand", 1, "redis", "protocol", 50),
		trip("p99-apart", "one item, p99, stages apart, against by hand", 2, "apart", "protocol-apart", 99),
		trip("p99", "one item, p99, fused, against by hand", 2, "redis", "protocol", 99),
	}
}

// named are the rows with these names.
func (r *run) named(names ...string) []rows.Row {
	return slices.DeleteFunc(slices.Clone(r.rows), func(row rows.Row) bool { return !slices.Contains(names, row.Name) })
}

// compared are the rows of all rate targets, and others. They are measured in turns, once for all
// targets.
func (r *run) compared(others ...string) []rows.Row {
	return r.named(append(others, "channels", "relay", "hand", "hand-channels", "redis", "apart", "slices", "embedded")...)
}

// rate is the rate of a row, or 0.
func (r *run) rate(name string) float64 {
	if rate := r.Rate(name); rate != nil {
		return rate.PerSecond()
	}
	return 0
}

// over is the rate of a row divided by the rate of another row.
func over(name, what string, want float64, row, base string) Target {
	return Target{Name: name, What: what, Want: want, Unit: "x", measure: func(ctx context.Context, r *run) (float64, string, error) {
		if err := r.Rates(ctx, r.compared(base)); err != nil {
			return 0, "", err
		}
		note := fmt.Sprintf("%s items/s over %s", report.Thousands(r.rate(row)), report.Thousands(r.rate(base)))
		switch base {
		case "channels":
			note += fmt.Sprintf("; the caller's two channels alone reach %.2f", r.rate("relay")/r.rate(base))
		case "hand-channels":
			note += fmt.Sprintf("; %.2f of the one without channels", r.rate(row)/r.rate("hand"))
		case "hand":
			note += fmt.Sprintf("; %.2f of the one with channels", r.rate(row)/r.rate("hand-channels"))
		}
		return r.rate(row) / r.rate(base), note, nil
	}}
}

func perItem(f func(measure.Pass) float64) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		if err := r.Rates(ctx, r.compared()); err != nil {
			return 0, "", err
		}
		return r.Rate("redis").Median(f), fmt.Sprintf("with the stages apart %s, by the slice %s",
			report.Significant(r.Rate("apart").Median(f)), report.Significant(r.Rate("slices").Median(f))), nil
	}
}
