// Package bridge connects local channels to remote queues: Scatter sends the values of a channel
// into a queue that a fleet of workers reads, and Gather brings the results of a queue back into a
// channel, in order.
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
// Each input has exactly one result, and results come in the order of their inputs. An error, a panic
// or a timeout in a function is the result of that item, an *executor.ItemError; the stream goes on,
// and later stages skip the item.
//
// If the program reads results slowly, workers take no more items and Scatter does not read its
// channel: MaxSize, MaxInFlight and Buffer set the bounds. No item is dropped. The end of the context
// of Scatter aborts the stream, and the end of the context of Gather ends the gather.
// executor.Executor.Close does both and leaves no goroutine and no key. Name makes a queue that stays and that other processes reach by its name.
//
// A Producer stores values and confirms each one, for services that answer "stored" to their
// clients: its Send returns when the value is in Redis.
//
// Multiplex, Merge and Push split and join local channels, before Scatter and after Gather.
package bridge
