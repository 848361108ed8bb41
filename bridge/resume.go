package bridge

import "errors"

// SourceName makes a scatter into a named queue durable: if its process dies,
// the stream stays open, and whoever scatters under the same name goes on with
// it. One that is still alive is fenced off: it ends with ErrFenced. A scatter
// whose input was closed has ended for good: ErrEnded.
func SourceName(source string) ScatterOption {
	return scatterOption(func(o *options) error {
		if source == "" {
			return errors.New("bridge: SourceName: it must not be empty")
		}
		o.source = source
		return nil
	})
}

// Resume tells how many items of a durable scatter are stored already, before
// Scatter returns: the input goes on behind them. Without it, who comes back
// cannot know what it has sent.
func Resume(stored *int64) ScatterOption {
	return scatterOption(func(o *options) error {
		if stored == nil {
			return errors.New("bridge: Resume(nil): pass the address of an int64")
		}
		o.stored = stored
		return nil
	})
}

var errSourceOfNoName = errors.New("bridge: SourceName needs Name: a queue without a name goes with its process")

var errResumeOfNoName = errors.New("bridge: Resume needs SourceName: a scatter without a name always begins at 0")
