// Package executor connects to a fleet of workers: it makes remote queues and the stages between them,
// and calls single functions with futures for their results.
//
//	ex, err := executor.New(ctx, os.Getenv("DQBRIDGE_REDIS")) // "": all in this process
//	defer ex.Close()
//
// A stage takes the items of one queue, has workers call a function with each of them, and adds the
// results to another queue, in order:
//
//	lengths, err := executor.Map(ctx, length, words, executor.Retries(2), executor.Timeout(time.Second))
//
// Package bridge connects local channels to queues; Open returns a queue that another process has
// named. Map2 calls a function with the nth items of two queues, Multiplex copies a queue, Merge joins
// several queues, and Futures yields the elements of a queue without their values.
//
// A queue has one consumer: a stage or a gather. A second one gets ErrConsumerExists, since each would
// get only a part of the items; Multiplex makes a queue for each. Map and Open compare types with the
// queue and with the workers that have the function: ErrTypeMismatch.
//
// For single values there are futures, as from a local call:
//
//	future, err := executor.Submit(ctx, ex, length, "seven")
//	n, err := future.Result(ctx)
//	future, err := executor.Submit(ctx, ex, executor.Chain(trim, length), " seven ")
//	futures, err := executor.MapSlice(ctx, ex, length, []string{"a", "bc"})
//	values, err := executor.GatherSlice(ctx, futures)
//
// Queues and stages without a name are deleted when their Executor is closed, and some time after its
// process has died. Queues with a name, and the stages over them, stay until they are deleted.
package executor
