// Package workers defines functions and runs them for all programs that use the
// same Redis. A fleet is as many of these programs as there is work for:
//
//	var Length = workers.Define("length", func(_ context.Context, s string) (int, error) { return len(s), nil })
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//		defer stop()
//		w, err := workers.New("redis://127.0.0.1:6379", workers.Concurrency(8), workers.Functions(Length))
//		if err == nil {
//			err = w.Run(ctx) // until ctx is done; then it drains
//		}
//	}
//
// A caller of the function uses the same variable if the programs share the
// package, and otherwise a handle: Remote[string, int]("length").
//
// Define makes a function of one item, DefineBatch of all items that happen to
// travel together, Define2 of the items of two queues. A function may be called
// more than once for an item, since a worker can die after the call and before
// its result is stored; the result is delivered once. Effects outside should
// bear to be repeated.
//
// An error, a panic and a timeout become the error of that item; the stream goes
// on. A function that runs longer than the lease of its worker is not taken
// for dead: the worker renews the lease while it runs.
package workers
