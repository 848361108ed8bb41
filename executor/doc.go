// Package executor connects to a fleet of workers and tells it what to do: it
// makes remote queues and the stages between them, and calls single functions
// with futures for their results.
//
//	ex, err := executor.New(ctx, os.Getenv("DQBRIDGE_REDIS")) // "": all in this process
//	defer ex.Close()
//
// A stage takes the items of one queue, has a function called with each of them
// somewhere in the fleet, and adds the results to another queue, in order:
//
//	lengths, err := executor.Map(ctx, length, words, executor.Retries(2), executor.Timeout(time.Second))
//
// Package bridge makes queues of channels and channels of queues; Open finds a
// queue that another process has named. Map2 brings the nth items of two queues
// together, Multiplex makes equal queues of one, Merge one of several, and
// Futures hands out the items of a queue without their values.
//
// A queue has one consumer: a stage or a gather. A second one is refused with
// ErrConsumerExists, since two would steal from each other; Multiplex makes a queue for
// each. Types are compared when a stage is made or a queue is opened, with the
// queue and with the workers that have the function: ErrTypeMismatch.
//
// For single values there are futures, as from a local call:
//
//	future, err := executor.Submit(ctx, ex, length, "seven")
//	n, err := future.Result(ctx)
//	futures, err := executor.MapSlice(ctx, ex, length, []string{"a", "bc"})
//	values, err := executor.GatherSlice(ctx, futures)
//
// Queues and stages without a name are deleted when their Executor is closed, and some time
// after its process has died. Queues with a name, and the stages over them, stay
// until they are deleted.
package executor
