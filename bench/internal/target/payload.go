package target

import (
	"context"
	"fmt"
	"slices"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/measure"
	"github.com/dqbridge/dqbridge/bench/internal/report"
	"github.com/dqbridge/dqbridge/bench/internal/work"
	"github.com/dqbridge/dqbridge/workers"
)

func payloadTargets() []Target {
	return []Target{
		{Name: "strings", What: "strings of 100 bytes, against by hand", Want: 0.7, Unit: "x", measure: overHand(300_000, aString, func(i int, v string) bool { return v == aString(i) })},
		{Name: "structs", What: "structs of ten fields, against by hand", Want: 0.7, Unit: "x", measure: overHand(100_000, aRecord, isRecord)},
		{Name: "1mib", What: "items of 1 MiB through one stage, against SET and GET", Want: 0.6, Unit: "x", measure: largeItems(1)},
		{Name: "1mib-bare", What: "items of 1 MiB from scatter to gather, against SET and GET", Want: 0.6, Unit: "x", measure: largeItems(0)},
	}
}

// A record has ten fields.
type record struct {
	ID       int      `json:"id"`
	Name     string   `json:"name"`
	Mail     string   `json:"mail"`
	Amount   float64  `json:"amount"`
	Count    int      `json:"count"`
	Paid     bool     `json:"paid"`
	Country  string   `json:"country"`
	Tags     []string `json:"tags"`
	Created  int64    `json:"created"`
	Previous *int     `json:"previous"`
}

func aRecord(i int) record {
	return record{
		ID: i, Name: "Ada Lovelace", Mail: "ada@example.org", Amount: float64(i) / 4, Count: i % 7, Paid: i%2 == 0,
		Country: "GB", Tags: []string{"new", "post"}, Created: 1_700_000_000 + int64(i), Previous: &i,
	}
}

func isRecord(i int, v record) bool {
	return v.ID == i && v.Amount == float64(i)/4 && len(v.Tags) == 2
}

func aString(i int) string { return fmt.Sprintf("%0100d", i) }

// overHand compares two stages that change nothing with the same by hand, from channel to channel,
// in the same encoding, 256 items an entry.
func overHand[T any](n int, item func(int) T, is func(int, T) bool) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		f := flow.Flow[T]{
			N: n, Item: item, Stages: []workers.Func[T, T]{flow.Same[T]("one"), flow.Same[T]("two")},
			Check: func(i int, v T) error {
				if !is(i, v) {
					return fmt.Errorf("result %d is %+v", i, v)
				}
				return nil
			},
		}
		medians, err := r.Turns(
			func() (float64, error) { return measure.Dqbridge[T](r.Lab, slots).Rate(ctx, f) },
			func() (float64, error) { return flow.ByHand[T](r.Server, 256, 64).Rate(ctx, f) },
		)
		return medians[0] / medians[1], fmt.Sprintf("%s items/s over %s", report.Thousands(medians[0]), report.Thousands(medians[1])), err
	}
}

const (
	large      = 1 << 20
	largeItem  = 300
	largeAhead = 8 // items of a round trip of SETs and GETs
)

// largeItems compares the rate with that of SETs and GETs of the same items. A stage sets and gets
// each item once more. So the note has the rate of SETs and GETs alone that do the same, with a
// goroutine for each reader and writer.
func largeItems(stages int) figure {
	return func(ctx context.Context, r *run) (float64, string, error) {
		items := make([][]byte, 16)
		for i := range items {
			items[i] = work.Bytes(i, large)
		}
		f := flow.Flow[[]byte]{
			N: largeItem, Buffer: 4, Item: func(i int) []byte { return items[i%len(items)] },
			Check:  func(i int, b []byte) error { return work.CheckBytes(b, i%len(items), large) },
			Stages: slices.Repeat([]workers.Func[[]byte, []byte]{flow.Same[[]byte]("keep")}, stages),
		}
		medians, err := r.Turns(
			func() (float64, error) { return measure.Dqbridge[[]byte](r.Lab, slots).Rate(ctx, f) },
			func() (float64, error) { return moved(ctx, r, items, inTurns) },
			func() (float64, error) { return moved(ctx, r, items, hops(1+stages)) },
		)
		return medians[0] / medians[1], fmt.Sprintf("%.0f MiB/s over %.0f; SETs and GETs alone, as often as here and all at once, reach %.2f",
			medians[0], medians[1], medians[2]/medians[1]), err
	}
}
