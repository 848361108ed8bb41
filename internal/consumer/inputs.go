package consumer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// Inputs reads the inputs of sources that keep them: the items as they were scattered. One
// goroutine uses it.
type Inputs struct {
	client *broker.Client
	kept   broker.Kept // the inputs that were read last
	reader batch.Reader
	next   int64       // offset of the item that the reader reads next
	none   ranges.Span // offsets of the same source without an input
}

// Inputs returns the inputs of the items that the Receiver hands out. An input can be read until
// its item is delivered.
func (r *Receiver) Inputs() *Inputs { return &Inputs{client: r.client} }

// Of returns the input at an offset of a source, and its format. The input is nil if the source
// keeps none, or if the item was stored as a failure. end is the end of the item's range: if no
// input is found, the other items up to there are taken to have none too. A call takes one round
// trip, unless the input was stored together with the last one.
func (in *Inputs) Of(ctx context.Context, source string, offset, end int64) (item []byte, format string, err error) {
	if in.kept.Source != source {
		in.kept, in.none = broker.Kept{}, ranges.Span{}
	}
	if in.none.From <= offset && offset < in.none.To {
		return nil, "", nil
	}
	if offset < in.kept.First || offset >= in.kept.End() {
		if in.kept, err = in.client.Input(ctx, source, offset); err != nil {
			return nil, "", err
		}
		in.next = in.kept.End()
		if in.kept.Source = source; in.kept.N == 0 || offset < in.kept.First {
			in.none = ranges.Span{From: offset, To: end}
			if in.kept.N > 0 {
				in.none.To = min(end, in.kept.First)
			}
			return nil, "", nil
		}
	}
	if offset < in.next {
		in.reader, in.next = batch.Read(in.kept.Frame), in.kept.First
	}
	for ok := true; ok && in.next <= offset; in.next++ {
		var failed bool
		if item, failed, ok = in.reader.Next(); failed {
			item = nil
		}
	}
	return item, in.kept.Format, nil
}
