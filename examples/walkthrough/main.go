// Command walkthrough is Dask's page "Data Streams with Queues" in Go. Its comments show the Python
// session line by line. It needs no Redis:
//
//	go run ./examples/walkthrough
//
// With DQBRIDGE_REDIS=redis://host:6379 the queues are in that Redis, and the functions still run
// in this process.
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// def inc(x):
//
//	sleep(random() * 2)
//	return x + 1
var inc = workers.Define("inc", func(ctx context.Context, x int) (int, error) {
	select { // 1/100 of the time
	case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond):
		return x + 1, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
})

// def double(x):
//
//	return 2 * x
var double = workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "walkthrough:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	// >>> e = Executor('')
	ex, err := executor.New(ctx, os.Getenv("DQBRIDGE_REDIS"))
	if err != nil {
		return err
	}
	defer ex.Close()
	// A Go program cannot send its functions over the wire, so it registers those that it runs.
	if err := ex.Register(inc, double); err != nil {
		return err
	}
	// >>> e
	// <Executor: scheduler= workers=1 threads=4>
	fmt.Println(ex)

	if err := pipeline(ctx, ex); err != nil {
		return err
	}
	return splitAndJoin(ctx, ex)
}

// pipeline is the first half of the page.
func pipeline(ctx context.Context, ex *executor.Executor) error {
	// >>> input_q = Queue()
	inputQ := make(chan int)
	// >>> remote_q = e.scatter(input_q)
	remoteQ, err := bridge.Scatter(ctx, ex, inputQ)
	if err != nil {
		return err
	}
	// >>> inc_q = e.map(inc, remote_q)
	incQ, err := executor.Map(ctx, inc, remoteQ)
	if err != nil {
		return err
	}
	// >>> double_q = e.map(double, inc_q)
	doubleQ, err := executor.Map(ctx, double, incQ)
	if err != nil {
		return err
	}
	// >>> result_q = e.gather(double_q)
	resultQ, err := bridge.Gather(ctx, doubleQ)
	if err != nil {
		return err
	}

	// >>> result_q.qsize()
	// 0
	fmt.Println(len(resultQ))
	// >>> input_q.put(10)
	inputQ <- 10
	// >>> result_q.get()
	// 22
	fmt.Println((<-resultQ).Value)

	// >>> load_thread = Thread(target=load_data, args=(input_q,))
	// >>> load_thread.start()
	go loadData(inputQ, remoteQ.Done())

	// >>> while True:
	// ...     item = result_q.get()
	// ...     print(item)
	// 2
	// 4
	// 6
	for item := range resultQ { // this loop ends, Python's does not
		if item.Err != nil {
			return item.Err
		}
		fmt.Println(item.Value)
	}
	return ctx.Err()
}

// def load_data(q):
//
//	i = 0
//	while True:
//	    q.put(i)
//	    i += 1
func loadData(q chan<- int, done <-chan struct{}) {
	defer close(q) // ends the stream
	for i := range 20 {
		select {
		case q <- i:
		case <-done: // the channel has no reader any more
			return
		}
	}
}

// splitAndJoin is the second half: it splits and merges local channels, like Python's local queues.
// executor.Multiplex and executor.Merge do the same with remote queues.
func splitAndJoin(ctx context.Context, ex *executor.Executor) error {
	inQ := make(chan int)
	go loadData(inQ, ctx.Done())

	// >>> q1, q2 = multiplex(2, in_q, maxsize=4)
	qs := bridge.Multiplex(ctx, 2, inQ, 4)
	results := make([]<-chan bridge.Result[int], len(qs))
	for i, f := range []workers.Func[int, int]{inc, double} {
		remoteQ, err := bridge.Scatter(ctx, ex, qs[i], bridge.MaxSize(4))
		if err != nil {
			return err
		}
		mappedQ, err := executor.Map(ctx, f, remoteQ, executor.MaxSize(4))
		if err != nil {
			return err
		}
		if results[i], err = bridge.Gather(ctx, mappedQ, bridge.Buffer(4)); err != nil {
			return err
		}
	}

	// >>> out_q = merge(result1, result2)
	sum := 0
	for r := range bridge.Merge(ctx, results...) {
		if r.Err != nil {
			return r.Err
		}
		sum += r.Value
	}
	fmt.Println("the sum of both halves:", sum)
	return ctx.Err()
}
