// Package bridge connects local channels to remote queues: Scatter sends the
// values of a channel into a queue that a fleet of workers reads, and Gather
// brings the results of a queue back into a channel, in order.
//
// A whole program, with the broker and four slots in its own process:
//
//	inc := workers.Define("inc", func(_ context.Context, x int) (int, error) { return x + 1, nil })
//	double := workers.Define("double", func(_ context.Context, x int) (int, error) { return 2 * x, nil })
//
//	ex, err := executor.New(ctx, "") // or redis://host:6379, and workers anywhere
//	defer ex.Close()
//	err = ex.Register(inc, double) // this process runs them too
//	fmt.Println(ex)                // <Executor: scheduler= workers=1 threads=4>
//
//	input := make(chan int)
//	remoteQ, err := bridge.Scatter(ctx, ex, input)
//	incQ, err := executor.Map(ctx, inc, remoteQ)
//	doubleQ, err := executor.Map(ctx, double, incQ)
//	result, err := bridge.Gather(ctx, doubleQ)
//
//	fmt.Println(len(result)) // 0
//	input <- 10
//	fmt.Println(<-result) // {22 <nil>}
//
//	close(input)
//	for r := range result { // ends, because input has ended
//		fmt.Println(r.Value, r.Err)
//	}
//
// Results come in the order of their inputs, exactly one for each, whatever the
// durations of the functions and however many workers there are. An error, a
// panic or a timeout in a function is the result of that item, an
// *executor.ItemError; the stream goes on, and later stages skip the item.
//
// If the reader is slow, workers stop taking and Scatter stops reading its
// channel: MaxSize, MaxInFlight and Buffer set the bounds. No item is dropped.
// Cancelling the context of Scatter or of Gather gives the stream up; so does
// Executor.Close, which leaves no goroutine and no key behind. Name makes a
// queue that stays and that other processes reach by its name.
//
// A Producer stores values and confirms each one, for services that answer "stored" to their
// clients: its Send returns when the value is in Redis.
//
// Multiplex, Merge and Push split and join local channels, before Scatter and after Gather.
package bridge
