// Command etl reads a CSV of the chemical elements, has workers compute the number of neutrons of each, and writes
// one line for each row to a file. It can be killed and started again at any time: no row is missing, and none comes
// twice. It is the program of docs/guides/resumable-etl.md:
//
//	export DQBRIDGE_REDIS=redis://127.0.0.1:6379
//	go run ./examples/etl worker &
//	go run ./examples/etl load examples/etl/elements.csv neutrons.jsonl
package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// lease is the time after which a process without a heartbeat counts as dead, the same in the whole fleet.
const lease = 3 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	address := os.Getenv("DQBRIDGE_REDIS")
	err := errors.New("usage: etl worker, or etl load INPUT OUTPUT")
	switch {
	case len(os.Args) == 2 && os.Args[1] == "worker":
		err = work(ctx, address)
	case len(os.Args) == 4 && os.Args[1] == "load":
		err = load(ctx, address, os.Args[2], os.Args[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "etl:", err)
		os.Exit(1)
	}
}

// work runs the function for other processes until ctx is done.
func work(ctx context.Context, address string) error {
	w, err := workers.New(address, workers.Concurrency(2), workers.Lease(lease), workers.Functions(neutrons))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}

// load sends the rows of a CSV through the stage and writes the results. It goes on where an earlier call ended.
func load(ctx context.Context, address, input, output string) (err error) {
	rows, err := read(input)
	if err != nil {
		return err
	}
	out, err := openOutput(output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	ex, err := executor.New(ctx, address, executor.Lease(lease))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ex.Close()) }()

	if len(out.written) < len(rows) {
		results, err := transform(ctx, ex, rows)
		if err != nil {
			return err
		}
		if err := collect(results, out); err != nil {
			return err
		}
	}
	return clean(ctx, ex)
}

// transform sends the rows that are not stored yet and returns the results that are not acknowledged yet.
func transform(ctx context.Context, ex *executor.Executor, rows [][]string) (<-chan bridge.Result[Element], error) {
	queue, err := scatter(ctx, ex, rows)
	if err != nil {
		return nil, err
	}
	elements, err := executor.Map(ctx, neutrons, queue, executor.Name("neutrons"))
	if err != nil {
		return nil, err
	}
	return bridge.Gather(ctx, elements,
		bridge.ManualAck(),      // a result counts as delivered once its line is written
		bridge.MaxDeliveries(5), // a result that cannot be written five times is a dead letter
		bridge.Wait())           // a process that was killed has the queue for some seconds more
}

// scatter makes the rows a durable source of the queue "elements".
func scatter(ctx context.Context, ex *executor.Executor, rows [][]string) (*executor.Queue[[]string], error) {
	in := make(chan []string)
	queue, err := bridge.Scatter(ctx, ex, in,
		bridge.Name("elements"), bridge.Seal(), // a queue of one source, which outlives this process
		bridge.DurableSource("csv"), // the next process goes on with it
		bridge.MaxSize(16))          // the other rows wait in the file
	if ended := (*executor.EndedError)(nil); errors.As(err, &ended) { // all rows are stored
		fmt.Fprintln(os.Stderr, "etl: all", ended.Stored, "rows are stored")
		return executor.Open[[]string](ctx, ex, "elements")
	} else if err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, "etl:", queue.Stored(), "rows are stored")
	go func() {
		defer close(in)
		for _, row := range rows[queue.Stored():] {
			select {
			case in <- row:
			case <-queue.Done(): // queue.Err() is the reason; the gather ends with it too
				return
			}
		}
	}()
	return queue, nil
}

// collect writes each result once and acknowledges it then. Results that were written before come again if the
// process was killed between the two.
func collect(results <-chan bridge.Result[Element], out *output) error {
	for r := range results {
		if bridge.IsSourceError(r.Err) {
			continue // the process before this one was killed; this one goes on with its source
		}
		if r.Err != nil && !bridge.IsItemError(r.Err) {
			return r.Err
		}
		if err := out.write(r); err != nil {
			fmt.Fprintf(os.Stderr, "etl: row %d, delivery %d: %v\n", r.Offset(), r.Deliveries(), err)
			r.Nack(retryDelay) // it comes again
			continue
		}
		r.Ack()
	}
	return nil
}

// clean deletes the queues, so that the next input begins anew.
func clean(ctx context.Context, ex *executor.Executor) error {
	for _, name := range []string{"elements", "neutrons"} {
		if err := ex.Delete(ctx, name); err != nil && !errors.Is(err, executor.ErrQueueNotFound) {
			return err
		}
	}
	return nil
}

// read returns the rows of a CSV without its head.
func read(name string) ([][]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	reader := csv.NewReader(file)
	if _, err := reader.Read(); err != nil {
		return nil, err
	}
	var rows [][]string
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		if _, err := strconv.Atoi(row[0]); err != nil {
			return nil, fmt.Errorf("row %d has no number: %w", len(rows), err)
		}
		rows = append(rows, row)
	}
}
