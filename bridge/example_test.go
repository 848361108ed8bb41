package bridge_test

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

// A pipeline on a broker in this process.
func Example() {
	ctx := context.Background()
	square := workers.Define("square", func(_ context.Context, x int) (int, error) {
		if x == 3 {
			return 0, errors.New("three is not for me")
		}
		return x * x, nil
	})

	ex, err := executor.New(ctx, "") // in this process; or redis://host:6379
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(square); err != nil { // this process runs it too
		log.Fatal(err)
	}

	in := make(chan int)
	queue, err := bridge.Scatter(ctx, ex, in)
	if err != nil {
		log.Fatal(err)
	}
	squares, err := executor.Map(ctx, square, queue)
	if err != nil {
		log.Fatal(err)
	}
	out, err := bridge.Gather(ctx, squares)
	if err != nil {
		log.Fatal(err)
	}

	go func() {
		defer close(in) // which ends the stream
		for i := range 5 {
			select {
			case in <- i:
			case <-queue.Done(): // the scatter has failed: queue.Err() returns why
				return
			}
		}
	}()
	for r := range out {
		fmt.Println(r.Value, r.Err)
	}
	// Output:
	// 0 <nil>
	// 1 <nil>
	// 4 <nil>
	// 0 square: three is not for me
	// 16 <nil>
}

// The walkthrough of Dask's page on queues, beside its Python: connect, map two
// functions across a queue, and insert data by hand.
func Example_insertDataManually() {
	ctx := context.Background()

	// >>> e = Executor('')
	// >>> e
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	fmt.Println(ex)

	// def inc(x): return x + 1
	// def double(x): return 2 * x
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	if err := ex.Register(inc, double); err != nil {
		log.Fatal(err)
	}

	// >>> input_q = Queue()
	// >>> remote_q = e.scatter(input_q)
	inputQ := make(chan int)
	remoteQ, err := bridge.Scatter(ctx, ex, inputQ)
	if err != nil {
		log.Fatal(err)
	}
	incQ, err := executor.Map(ctx, inc, remoteQ) // >>> inc_q = e.map(inc, remote_q)
	if err != nil {
		log.Fatal(err)
	}
	doubleQ, err := executor.Map(ctx, double, incQ) // >>> double_q = e.map(double, inc_q)
	if err != nil {
		log.Fatal(err)
	}
	resultQ, err := bridge.Gather(ctx, doubleQ) // >>> result_q = e.gather(double_q)
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(len(resultQ)) // >>> result_q.qsize()
	inputQ <- 10              // >>> input_q.put(10)
	r := <-resultQ            // >>> result_q.get()
	fmt.Println(r.Value, r.Err)
	// Output:
	// <Executor: scheduler= workers=1 threads=4>
	// 0
	// 22 <nil>
}

// The walkthrough goes on: data that comes from another goroutine, and ends.
func Example_insertDataInAnotherGoroutine() {
	ctx := context.Background()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(inc, double); err != nil {
		log.Fatal(err)
	}
	inputQ := make(chan int)
	remoteQ, err := bridge.Scatter(ctx, ex, inputQ)
	if err != nil {
		log.Fatal(err)
	}
	incQ, err := executor.Map(ctx, inc, remoteQ)
	if err != nil {
		log.Fatal(err)
	}
	doubleQ, err := executor.Map(ctx, double, incQ)
	if err != nil {
		log.Fatal(err)
	}

	// def load_data(q):
	//     i = 0
	//     while True:
	//         q.put(i)
	//         i += 1
	loadData := func(q chan<- int) {
		defer close(q)
		for i := range 6 {
			q <- i
		}
	}
	go loadData(inputQ) // >>> load_thread.start()

	// >>> while True:
	// ...     item = result_q.get()
	// ...     print(item)
	for item, err := range bridge.All(ctx, doubleQ) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(item, " ")
	}
	// Output: 2 4 6 8 10 12
}

// The end of the walkthrough: a queue is split in two, a function is mapped
// across each half, and the halves are merged.
func Example_multiplexAndMerge() {
	ctx := context.Background()
	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := ex.Register(inc, double); err != nil {
		log.Fatal(err)
	}

	inQ := make(chan int)
	go func() {
		defer close(inQ)
		for _, x := range []int{10, 20, 30} {
			inQ <- x
		}
	}()

	// >>> q1, q2 = multiplex(2, in_q)
	qs := bridge.Multiplex(ctx, 2, inQ, 1)
	var results []<-chan bridge.Result[int]
	for i, f := range []workers.Func[int, int]{inc, double} {
		remoteQ, err := bridge.Scatter(ctx, ex, qs[i])
		if err != nil {
			log.Fatal(err)
		}
		mapped, err := executor.Map(ctx, f, remoteQ)
		if err != nil {
			log.Fatal(err)
		}
		result, err := bridge.Gather(ctx, mapped)
		if err != nil {
			log.Fatal(err)
		}
		results = append(results, result)
	}

	// >>> out_q = merge(q1, q2)
	for r := range bridge.Merge(ctx, results...) {
		fmt.Println(r.Value)
	}
	// Unordered output:
	// 11
	// 21
	// 31
	// 20
	// 40
	// 60
}

func ExampleScatter() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()

	in := make(chan string, 3)
	in <- "one"
	in <- "two"
	in <- "three"
	close(in)
	// At most 100 items wait in the queue; then the channel is not read.
	queue, err := bridge.Scatter(ctx, ex, in, bridge.MaxSize(100))
	if err != nil {
		log.Fatal(err)
	}
	if err := ex.Flush(ctx); err != nil { // all is stored
		log.Fatal(err)
	}
	waiting, err := queue.Len(ctx)
	fmt.Println(waiting, err)
	// Output: 3 <nil>
}

func ExampleScatterSeq() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()

	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values([]float64{0.5, 1e300, -7}))
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, queue) {
		fmt.Println(v, err)
	}
	// Output:
	// 0.5 <nil>
	// 1e+300 <nil>
	// -7 <nil>
}

func ExampleGather() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	invert := workers.Define("invert", func(_ context.Context, x int) (int, error) { return 12 / x, nil })
	if err := ex.Register(invert); err != nil {
		log.Fatal(err)
	}
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{3, 0, 4}))
	if err != nil {
		log.Fatal(err)
	}
	inverted, err := executor.Map(ctx, invert, queue)
	if err != nil {
		log.Fatal(err)
	}

	results, err := bridge.Gather(ctx, inverted, bridge.Buffer(16))
	if err != nil {
		log.Fatal(err)
	}
	for r := range results {
		var failed *executor.ItemError
		switch {
		case errors.As(r.Err, &failed): // of this item; the stream goes on
			fmt.Println(failed.Code, "in", failed.Function, "-", failed.Message)
		case r.Err != nil: // of the stream; it is the last
			log.Fatal(r.Err)
		default:
			fmt.Println(r.Value)
		}
	}
	// Output:
	// 4
	// panic in invert - panic: runtime error: integer divide by zero
	// 3
}

func ExampleAll() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	queue, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{"a", "b", "c", "d"}))
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, queue) {
		if err != nil || v == "c" {
			break // which gives the queue up
		}
		fmt.Println(v)
	}
	// Output:
	// a
	// b
}

// A named queue stays, and another process finds it by its name.
func ExampleName() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	_, err = bridge.ScatterSeq(ctx, ex, slices.Values([]int{1, 2}), bridge.Name("orders"), bridge.Seal())
	if err != nil {
		log.Fatal(err)
	}

	orders, err := executor.Open[int](ctx, ex, "orders")
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, orders) {
		fmt.Println(v, err)
	}
	fmt.Println(ex.Delete(ctx, "orders"))
	// Output:
	// 1 <nil>
	// 2 <nil>
	// <nil>
}

func ExampleMultiplex() {
	ctx := context.Background()
	in := make(chan int, 2)
	in <- 1
	in <- 2
	close(in)
	for i, ch := range bridge.Multiplex(ctx, 2, in, 2) {
		for v := range ch {
			fmt.Println("channel", i, "value", v)
		}
	}
	// Output:
	// channel 0 value 1
	// channel 0 value 2
	// channel 1 value 1
	// channel 1 value 2
}

func ExampleMerge() {
	ctx := context.Background()
	odd, even := make(chan int, 2), make(chan int, 2)
	odd <- 1
	odd <- 3
	even <- 2
	even <- 4
	close(odd)
	close(even)
	for v := range bridge.Merge(ctx, odd, even) {
		fmt.Println(v) // 1 before 3 and 2 before 4
	}
	// Unordered output:
	// 1
	// 2
	// 3
	// 4
}

func ExamplePush() {
	ctx := context.Background()
	from, to := make(chan int, 2), make(chan int, 3)
	from <- 1
	from <- 2
	close(from)
	bridge.Push(ctx, from, to)
	to <- 3 // it is still open
	fmt.Println(<-to, <-to, <-to)
	// Output: 1 2 3
}
