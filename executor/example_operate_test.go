package executor_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// report prints the named queues. It takes an Executor, or the Inspector of a process that only reads.
func report(ctx context.Context, in executor.Inspector) error {
	queues, err := in.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if q.Owner == "" {
			fmt.Println(q.Name, q.Type, q.Waiting)
		}
	}
	return nil
}

func ExampleInspector() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	if _, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}), bridge.Name("numbers")); err != nil {
		log.Fatal(err)
	}
	if err := ex.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	if err := report(ctx, ex); err != nil {
		log.Fatal(err)
	}
	// Output:
	// numbers int 3
}

// A snapshot has all of a namespace at one time. Its flows say why items wait.
func ExampleExecutor_Snapshot() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	if _, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2, 3}), bridge.Name("numbers"), bridge.Seal()); err != nil {
		log.Fatal(err)
	}
	if err := ex.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	s, err := ex.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, q := range s.Queues {
		fmt.Println(q.Name, q.State, q.Waiting, "wait,", q.Running, "run")
	}
	for _, f := range s.Flows() {
		fmt.Println(f.Name, f.State, f.Why)
	}
	for _, source := range s.Sources {
		fmt.Println(source.Queue, source.Stored, "of", source.End)
	}
	// Output:
	// numbers ended 3 wait, 0 run
	// numbers waiting no program gathers queue numbers
	// numbers 3 of 3
}

// An Inspector needs the address of a Redis: no process can connect to an embedded broker.
func ExampleNewInspector() {
	_, err := executor.NewInspector(context.Background(), "")
	fmt.Println(errors.Is(err, executor.ErrInvalidURL))
	// Output:
	// true
}

// The function has failed, and the error has the word that was scattered.
func ExampleInputAs() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	short := workers.Define("short", func(_ context.Context, word string) (int, error) {
		if len(word) > 4 {
			return 0, errors.New("it is too long")
		}
		return len(word), nil
	})
	if err := ex.Register(short); err != nil {
		log.Fatal(err)
	}
	words, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{"oak", "willow"}), bridge.KeepInput())
	if err != nil {
		log.Fatal(err)
	}
	lengths, err := executor.Map(ctx, short, words)
	if err != nil {
		log.Fatal(err)
	}
	for n, err := range bridge.All(ctx, lengths, bridge.KeepInput()) {
		if err == nil {
			fmt.Println(n)
			continue
		}
		word, inputErr := executor.InputAs[string](err, nil)
		fmt.Println(word, err, inputErr)
	}
	// Output:
	// 3
	// willow short: it is too long <nil>
}

// Flush returns once the items of all scatters are stored.
func ExampleExecutor_Flush() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	q := exampleQueue(ctx, ex, 1, 2, 3)
	if err := ex.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(q.Len(ctx))
	// Output:
	// 3 <nil>
}

// A consumer rejects an item. It becomes a dead letter, which an operator reads and deletes.
func ExampleExecutor_DeadLetters() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	results, err := bridge.Gather(ctx, exampleQueue(ctx, ex, 1, 2), bridge.ManualAck(), bridge.MaxDeliveries(1))
	if err != nil {
		log.Fatal(err)
	}
	for r := range results {
		if r.Value == 2 {
			r.Nack(0)
		} else {
			r.Ack()
		}
	}
	for letter, err := range ex.DeadLetters(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		items, err := ex.DeadLetterItems(ctx, letter.ID)
		fmt.Printf("%s %q %v\n", letter.Why.Code, items, err)
		fmt.Println(ex.DeleteDeadLetter(ctx, letter.ID))
	}
	// Output:
	// rejected ["2"] <nil>
	// <nil>
}

func ExampleFuture_Cancel() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	wait := workers.Define("wait", func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	if err := ex.Register(wait); err != nil {
		log.Fatal(err)
	}
	future, err := executor.Submit(ctx, ex, wait, 1)
	if err != nil {
		log.Fatal(err)
	}
	if err := future.Cancel(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = future.Result(ctx)
	fmt.Println(errors.Is(err, executor.ErrCanceled))
	// Output:
	// true
}

// A function has a new name. Its stage is replaced, and the backlog stays.
func ExampleReplaceStage() {
	ctx := context.Background()
	ex := exampleExecutor(ctx)
	defer ex.Close()
	numbers, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2}), bridge.Name("numbers"), bridge.Seal())
	if err != nil {
		log.Fatal(err)
	}
	old := workers.Define("old", func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, context.Cause(ctx)
	})
	if err := ex.Register(old); err != nil {
		log.Fatal(err)
	}
	if _, err = executor.Map(ctx, old, numbers); err != nil {
		log.Fatal(err)
	}
	_, err = executor.Map(ctx, exampleDouble, numbers)
	fmt.Println(errors.Is(err, executor.ErrStageExists))

	results, err := executor.Map(ctx, exampleDouble, numbers, executor.ReplaceStage())
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, results) {
		fmt.Println(v, err)
	}
	// Output:
	// true
	// 2 <nil>
	// 4 <nil>
}
