package producer

import "github.com/dqbridge/dqbridge/internal/broker"

const (
	// inFlightBytes bounds the frames between a scatter and its gathers. An ordered gather may
	// have to hold all of them for one slow item, and more if functions make items larger.
	inFlightBytes = 256 << 20
	// inFlightSegments is the number of segments that these bytes are counted in.
	inFlightSegments = 64
)

// An inFlight counts the bytes of the items that a source has stored and its gathers have not
// delivered. Only the sender knows both an offset and the bytes before it. The successor of a
// source begins at 0.
type inFlight struct {
	limit     int64 // bytes
	delivered int64 // offset that all gathers have delivered, -1: the queue has no gather
	stored    int64 // offset
	segments  []segment
	bytes     int64
}

// A segment is consecutive batches, up to an offset.
type segment struct{ end, bytes int64 }

// addStored notes a stored batch.
func (f *inFlight) addStored(end, bytes int64) {
	f.stored = end
	f.bytes += bytes
	if n := len(f.segments); n > 0 && f.segments[n-1].bytes+bytes <= f.limit/inFlightSegments {
		f.segments[n-1] = segment{end, f.segments[n-1].bytes + bytes}
		return
	}
	f.segments = append(f.segments, segment{end, bytes})
}

// setDelivered notes the offset that all gathers have delivered.
func (f *inFlight) setDelivered(offset int64) {
	f.delivered = offset
	for len(f.segments) > 0 && f.segments[0].end <= offset {
		f.bytes -= f.segments[0].bytes
		f.segments = f.segments[1:]
	}
}

// window returns the window of the next call: w, or the items that are in flight now if their bytes
// reach the limit. Without a gather it is always w, since no item would ever be delivered.
func (f *inFlight) window(w broker.Window) broker.Window {
	if w.Items == 0 || f.delivered < 0 || f.bytes < f.limit || f.stored <= f.delivered {
		return w
	}
	return broker.Window{Items: min(w.Items, f.stored-f.delivered)}
}
