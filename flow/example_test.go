package flow_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/flow"
	"github.com/dqbridge/dqbridge/workers"
)

// The even numbers of a stream, doubled. The stream ends behind the last input, also one that the
// filter leaves out.
func ExampleFilter() {
	even := workers.DefineFilter("even", func(_ context.Context, x int) (bool, error) { return x%2 == 0, nil })
	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })

	ctx := context.Background()
	ex, err := executor.New(ctx, "") // a broker in this process
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(even, double); err != nil {
		log.Fatal(err)
	}
	numbers, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{0, 1, 2, 3, 4, 5}))
	if err != nil {
		log.Fatal(err)
	}
	kept, err := flow.Filter(ctx, even, numbers)
	if err != nil {
		log.Fatal(err)
	}
	doubled, err := executor.Map(ctx, double, kept)
	if err != nil {
		log.Fatal(err)
	}
	for x, err := range bridge.All(ctx, doubled) {
		fmt.Println(x, err)
	}
	// Output:
	// 0 <nil>
	// 4 <nil>
	// 8 <nil>
}

// The words of some lines, in their order. A line may have any number of words.
func ExampleFlatMap() {
	words := workers.DefineFlatMap("words", func(_ context.Context, line string, yield func(string)) error {
		for w := range strings.FieldsSeq(line) {
			yield(w)
		}
		return nil
	})
	length := workers.Define("length", func(_ context.Context, word string) (int, error) { return len(word), nil })

	ctx := context.Background()
	ex, err := executor.New(ctx, "") // a broker in this process
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(words, length); err != nil {
		log.Fatal(err)
	}
	lines, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{"to be", "", "or not"}))
	if err != nil {
		log.Fatal(err)
	}
	split, err := flow.FlatMap(ctx, words, lines)
	if err != nil {
		log.Fatal(err)
	}
	lengths, err := executor.Map(ctx, length, split)
	if err != nil {
		log.Fatal(err)
	}
	for n, err := range bridge.All(ctx, lengths) {
		fmt.Println(n, err)
	}
	// Output:
	// 2 <nil>
	// 2 <nil>
	// 2 <nil>
	// 3 <nil>
}

// Rows are stored by a fleet. One of them is refused.
func ExampleEach() {
	store := workers.DefineSink("store", func(_ context.Context, row string) error {
		if row == "" {
			return errors.New("the row is empty")
		}
		return nil // stored
	})

	ctx := context.Background()
	ex, err := executor.New(ctx, "") // a broker in this process
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(store); err != nil {
		log.Fatal(err)
	}
	rows, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{"a", "b", "", "d"}))
	if err != nil {
		log.Fatal(err)
	}
	err = flow.Each(ctx, store, rows, executor.Retries(1))
	fmt.Println(err)
	var failed *flow.Failed
	var first *executor.ItemError
	if errors.As(err, &failed) && errors.As(failed.First, &first) {
		fmt.Println(failed.N, first.Offset)
	}
	// Output:
	// each: 1 item has failed: store: the row is empty (2 attempts)
	// 1 2
}

// The numbers that 12 leads to by halves and thirds. A set of the numbers that were seen lets each come
// once.
func ExampleFeedback() {
	type steps struct {
		Number int
		Next   []int
	}
	look := workers.Define("look", func(_ context.Context, x int) (steps, error) {
		next := []int{x / 2, x / 3}
		if x <= 1 {
			next = nil
		}
		return steps{x, next}, nil
	})

	ctx := context.Background()
	ex, err := executor.New(ctx, "") // a broker in this process
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(look); err != nil {
		log.Fatal(err)
	}
	seeds, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{12}))
	if err != nil {
		log.Fatal(err)
	}
	seen := map[int]bool{12: true}
	found, err := flow.Feedback(ctx, seeds, func(numbers *executor.Queue[int]) (*executor.Queue[steps], error) {
		return executor.Map(ctx, look, numbers)
	}, func(_ context.Context, s steps) (unseen []int, _ error) {
		for _, x := range s.Next {
			if !seen[x] {
				seen[x] = true
				unseen = append(unseen, x)
			}
		}
		return unseen, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for s, err := range bridge.All(ctx, found) {
		fmt.Println(s.Number, err)
	}
	// Unordered output:
	// 12 <nil>
	// 6 <nil>
	// 4 <nil>
	// 3 <nil>
	// 2 <nil>
	// 1 <nil>
	// 0 <nil>
}
