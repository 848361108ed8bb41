package producer

const (
	// flightBytes bounds the frames between a scatter and its gathers: what an
	// ordered gather may have to hold for one slow item, as far as functions do
	// not make items larger.
	flightBytes = 256 << 20
	// flightLegs is into how many parts that is divided.
	flightLegs = 64
)

// An inFlight counts the items that a source has stored and its gathers have not delivered, in
// bytes. It is known to the sender only, since only here an offset and the bytes
// before it are known together; who takes a source over begins at 0.
type inFlight struct {
	most  int64 // bytes
	low   int64 // offset that all gathers have delivered, -1: there is none
	end   int64 // offset stored
	legs  []leg
	bytes int64
}

// leg is batches up to an offset.
type leg struct{ end, bytes int64 }

// depart takes note of a batch that was stored.
func (f *inFlight) depart(end, bytes int64) {
	f.end = end
	f.bytes += bytes
	if n := len(f.legs); n > 0 && f.legs[n-1].bytes+bytes <= f.most/flightLegs {
		f.legs[n-1] = leg{end, f.legs[n-1].bytes + bytes}
		return
	}
	f.legs = append(f.legs, leg{end, bytes})
}

// arrive takes note of how far the gathers have delivered.
func (f *inFlight) arrive(low int64) {
	f.low = low
	for len(f.legs) > 0 && f.legs[0].end <= low {
		f.bytes -= f.legs[0].bytes
		f.legs = f.legs[1:]
	}
}

// window is the window of items for the next call: the one that was asked for, or
// what is in flight now where that is enough in bytes. Something has to gather,
// or nothing would ever arrive.
func (f *inFlight) window(items int64) int64 {
	if items == 0 || f.low < 0 || f.bytes < f.most || f.end <= f.low {
		return items
	}
	return min(max(items, -items), f.end-f.low)
}
