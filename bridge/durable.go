package bridge

import "errors"

// DurableSource makes a scatter into a named queue durable: if its process dies,
// the stream stays open, and the next scatter with the same source goes on with
// it. Stored of the queue that Scatter returns is the number of items that are
// stored already: send those behind them. A scatter of the source that is still
// alive is fenced off, and ends with executor.ErrFenced. A source whose input was
// closed has ended for good: Scatter returns an *executor.EndedError.
func DurableSource(source string) ScatterOption {
	return scatterOption(func(o *options) error {
		if source == "" {
			return errors.New("bridge: DurableSource: it must not be empty")
		}
		o.source = source
		return nil
	})
}

var errSourceOfNoName = errors.New("bridge: DurableSource needs Name: a queue without a name goes with its process")
