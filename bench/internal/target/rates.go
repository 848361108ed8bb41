package target

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/bench/internal/lab"
	"github.com/dqbridge/dqbridge/bench/internal/procs"
	"github.com/dqbridge/dqbridge/bench/internal/rows"
	"github.com/dqbridge/dqbridge/bench/internal/text"
)

// of returns rows by their names.
func (r *run) of(names ...string) []rows.Row {
	return slices.DeleteFunc(slices.Clone(r.rows), func(row rows.Row) bool { return !slices.Contains(names, row.Name) })
}

// compared are the rows that are measured in turns with each other, once in a run.
func (r *run) compared() []rows.Row {
	return r.of("channels", "relay", "hand", "hand-channels", "redis", "apart", "slices", "embedded")
}

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
				return rateOf(r, "embedded"), "", err
			}},
		{Name: "commands", What: "Redis commands an item under load", Want: 0.02, Most: true, Unit: "commands",
			measure: perItem(func(p lab.Pass) float64 { return p.Commands })},
		{Name: "allocs", What: "allocations an item", Want: 0.3, Most: true, Unit: "allocs",
			measure: perItem(func(p lab.Pass) float64 { return p.Allocs })},
		{Name: "queued-bytes", What: "Redis bytes a queued int", Want: 16, Most: true, Unit: "bytes",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				bytes, err := r.Queued(ctx, r.of("redis")[0])
				return bytes, "", err
			}},
		{Name: "idle-commands", What: "commands a second of an idle process", Want: 2, Most: true, Unit: "commands",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				o, err := procs.Run(ctx, procs.Plan{Job: procs.Job{N: 1, Concurrency: 4}, Workers: 2, Idle: 10 * time.Second})
				return o.Idle.Commands, "of a producer, a consumer and 2 workers, in one partition, over 10 s", err
			}},
	}
}

func rateOf(r *run, name string) float64 {
	if rate := r.Rate(name); rate != nil {
		return rate.PerSecond()
	}
	return 0
}

// over is the rate of one row divided by that of another.
func over(name, what string, want float64, row, base string) Target {
	return Target{Name: name, What: what, Want: want, Unit: "x", measure: func(ctx context.Context, r *run) (float64, string, error) {
		list := r.compared()
		if !slices.ContainsFunc(list, func(r rows.Row) bool { return r.Name == base }) {
			list = append(list, r.of(base)...)
		}
		if err := r.Rates(ctx, list); err != nil {
			return 0, "", err
		}
		note := fmt.Sprintf("%s items/s over %s", text.Thousands(rateOf(r, row)), text.Thousands(rateOf(r, base)))
		switch base {
		case "channels":
			note += fmt.Sprintf("; the caller's two channels alone reach %.2f", rateOf(r, "relay")/rateOf(r, base))
		case "hand-channels":
			note += fmt.Sprintf("; %.2f of the one without channels", rateOf(r, row)/rateOf(r, "hand"))
		case "hand":
			note += fmt.Sprintf("; %.2f of the one with channels", rateOf(r, row)/rateOf(r, "hand-channels"))
		}
		return rateOf(r, row) / rateOf(r, base), note, nil
	}}
}

func perItem(f func(lab.Pass) float64) func(context.Context, *run) (float64, string, error) {
	return func(ctx context.Context, r *run) (float64, string, error) {
		if err := r.Rates(ctx, r.compared()); err != nil {
			return 0, "", err
		}
		return r.Rate("redis").Median(f), fmt.Sprintf("with the stages apart %s, by the slice %s",
			text.Significant(r.Rate("apart").Median(f)), text.Significant(r.Rate("slices").Median(f))), nil
	}
}

func tripTargets() []Target {
	trip := func(name, what string, want float64, row, calls string, p int) Target {
		return Target{Name: name, What: what, Want: want, Most: true, Unit: "x", measure: func(ctx context.Context, r *run) (float64, string, error) {
			if err := r.Singles(ctx, r.of("hand", row, calls, "embedded")); err != nil {
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
