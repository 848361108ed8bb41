package target

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/bench/internal/flow"
	"github.com/dqbridge/dqbridge/bench/internal/text"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A record has ten fields, like items of typical programs.
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

func checkRecord(i int, v record) error {
	if v.ID != i || v.Amount != float64(i)/4 || len(v.Tags) != 2 {
		return fmt.Errorf("result %d is %+v", i, v)
	}
	return nil
}

func aString(i int) string { return fmt.Sprintf("%0100d", i) }

func checkString(i int, v string) error {
	if v != aString(i) {
		return fmt.Errorf("result %d is %s", i, v)
	}
	return nil
}

func payloadTargets() []Target {
	return []Target{
		{Name: "strings", What: "strings of 100 bytes, against by hand", Want: 0.7, Unit: "x",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				return besideHand(ctx, r, 300_000, aString, checkString)
			}},
		{Name: "structs", What: "structs of ten fields, against by hand", Want: 0.7, Unit: "x",
			measure: func(ctx context.Context, r *run) (float64, string, error) {
				return besideHand(ctx, r, 100_000, aRecord, checkRecord)
			}},
		{Name: "1mib", What: "items of 1 MiB through one stage, against SET and GET", Want: 0.6, Unit: "x",
			measure: func(ctx context.Context, r *run) (float64, string, error) { return largeItems(ctx, r, 1) }},
		{Name: "1mib-bare", What: "items of 1 MiB from scatter to gather, against SET and GET", Want: 0.6, Unit: "x",
			measure: func(ctx context.Context, r *run) (float64, string, error) { return largeItems(ctx, r, 0) }},
	}
}

// besideHand compares two stages that return their input with the same pipeline written by hand:
// from channel to channel, in the same encoding, with 256 items in each entry.
func besideHand[T any](ctx context.Context, r *run, n int, item func(int) T, check func(int, T) error) (float64, string, error) {
	one, two := flow.Same[T]("one"), flow.Same[T]("two")
	f := flow.Flow[T]{N: n, Item: item, Check: check, Stages: []workers.Func[T, T]{one, two}}
	medians, err := r.Turns(
		func() (rate float64, err error) {
			err = r.Fresh(ctx, hands, []workers.Function{one, two}, func(ctx context.Context, ex *executor.Executor) error {
				took, err := f.On(ctx, ex, func() {})
				rate = float64(n) / took.Seconds()
				return err
			})
			return rate, err
		},
		func() (float64, error) {
			took, err := flow.Hand[T]{Flow: f, Items: 256, Entries: 64, Stages: 2}.On(ctx, r.Server)
			return float64(n) / took.Seconds(), err
		},
	)
	if err != nil {
		return 0, "", err
	}
	return medians[0] / medians[1], fmt.Sprintf("%s items/s over %s", text.Thousands(medians[0]), text.Thousands(medians[1])), nil
}
