// Package workers defines functions and runs them for all programs that use the same Redis. A fleet
// is a number of such programs:
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
// A caller of the function uses the same variable if the programs share the package, and otherwise
// a handle: Remote[string, int]("length").
//
// Define makes a function of one item, DefineBatch of the items that travel together, and Define2
// of the items of two queues. A function may run more than once for an item, since a worker can die
// after the call and before its result is stored. The result is delivered once. Effects outside
// dqbridge have to allow repetition; ItemFrom gives a key for that.
//
// An error, a panic and a timeout become the error of that item, and the stream goes on. A function
// may run longer than the lease of its worker, which renews the lease meanwhile.
package workers
