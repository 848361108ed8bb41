package consumer

import (
	"context"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/ranges"
)

// Inputs finds the items of sources that keep them as they were scattered. One goroutine uses it.
type Inputs struct {
	c      *broker.Client
	kept   broker.Kept // those that were read last
	reader batch.Reader
	at     int64       // offset of the item that the reader reads next
	none   ranges.Span // offsets of the same source that are known to have no input
}

// Inputs finds the inputs of the items that the Receiver hands out. Each is there until its item is delivered.
func (r *Receiver) Inputs() *Inputs { return &Inputs{c: r.c} }

// Of returns the item at an offset of a source, and its format. It is nil if the source keeps none, and if it has failed
// before it was stored. It waits for one round trip, unless the item was stored together with the last one. end is that of
// the piece: where no input is found, none is looked for up to there.
func (in *Inputs) Of(ctx context.Context, source string, offset, end int64) (item []byte, format string, err error) {
	if in.kept.Source != source {
		in.kept, in.none = broker.Kept{}, ranges.Span{}
	}
	if in.none.From <= offset && offset < in.none.To {
		return nil, "", nil
	}
	if offset < in.kept.First || offset >= in.kept.End() {
		if in.kept, err = in.c.Input(ctx, source, offset); err != nil {
			return nil, "", err
		}
		in.at = in.kept.End()
		if in.kept.Source = source; in.kept.N == 0 || offset < in.kept.First {
			in.none = ranges.Span{From: offset, To: end}
			if in.kept.N > 0 {
				in.none.To = min(end, in.kept.First)
			}
			return nil, "", nil
		}
	}
	if offset < in.at {
		in.reader, in.at = batch.Read(in.kept.Frame), in.kept.First
	}
	for ok := true; ok && in.at <= offset; in.at++ {
		var failed bool
		if item, failed, ok = in.reader.Next(); failed {
			item = nil
		}
	}
	return item, in.kept.Format, nil
}
