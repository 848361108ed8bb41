// Package batch implements the batch, the unit that moves through dqbridge: the items at the
// offsets [First, First+N) of one source, framed as bytes. It depends neither on Redis nor on the
// types of items.
package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Version is the first byte of a frame with one item for each offset.
const Version = 1

// ErrFrame is wrapped by every error about a malformed frame.
var ErrFrame = errors.New("malformed batch frame")

// A Builder frames items one after the other. The zero value is ready to use.
//
//	buf := b.Begin()
//	buf = append(buf, "the item"...)
//	b.End(buf)
//
// The frame is the version byte and then, for each item, the unsigned varint of 2 x its length
// (plus 1 if the item is a failure) and its bytes.
type Builder struct {
	buf    []byte
	header int // offset of the header of the open item
	n      int
}

// Begin opens an item. The caller appends its bytes to the returned slice and passes the result to
// End, EndFailure or Abort.
func (b *Builder) Begin() []byte {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, Version)
	}
	b.header = len(b.buf)
	return append(b.buf, 0)
}

// End closes the open item as a value.
func (b *Builder) End(buf []byte) { b.end(buf, 0) }

// EndFailure closes the open item as an encoded Failure.
func (b *Builder) EndFailure(buf []byte) { b.end(buf, 1) }

// Abort discards the open item. buf is the slice that Begin returned, possibly grown.
func (b *Builder) Abort(buf []byte) { b.buf = buf[:b.header] }

func (b *Builder) end(buf []byte, mark uint64) {
	size := len(buf) - b.header - 1
	header := uint64(size)<<1 | mark
	if header < 0x80 {
		buf[b.header] = byte(header)
	} else {
		var head [binary.MaxVarintLen64]byte
		k := binary.PutUvarint(head[:], header)
		buf = append(buf, head[:k-1]...) // only extends buf; the next lines overwrite the bytes
		copy(buf[b.header+k:], buf[b.header+1:b.header+1+size])
		copy(buf[b.header:], head[:k])
	}
	b.buf = buf
	b.n++
}

// Value adds an item that is already encoded.
func (b *Builder) Value(item []byte) { b.End(append(b.Begin(), item...)) }

// Failure adds a failure.
func (b *Builder) Failure(f Failure) { b.EndFailure(f.Append(b.Begin())) }

// Fill adds n items at once: frame appends them, with their headers, to its argument.
func (b *Builder) Fill(n int, frame func(dst []byte) []byte) {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, Version)
	}
	b.buf = frame(b.buf)
	b.n += n
}

// Grow reserves memory for a frame of that many bytes.
func (b *Builder) Grow(bytes int) { b.buf = slices.Grow(b.buf, max(0, bytes-len(b.buf))) }

// Use makes an empty Builder write its frame into memory, which it owns from now on.
func (b *Builder) Use(memory []byte) { b.buf = memory[:0] }

// Reuse is Use for memory that has a frame of n items already.
func (b *Builder) Reuse(frame []byte, n int) { b.buf, b.n = frame, n }

// Len returns the number of items in the frame.
func (b *Builder) Len() int { return b.n }

// Size returns the number of bytes of the frame so far.
func (b *Builder) Size() int { return len(b.buf) }

// Frame returns the frame. The Builder owns it until Reset or Take.
func (b *Builder) Frame() []byte { return b.buf }

// Take returns the frame and resets the Builder. The caller owns the frame.
func (b *Builder) Take() []byte {
	buf := b.buf
	*b = Builder{}
	return buf
}

// Reset removes all items and keeps the memory.
func (b *Builder) Reset() { b.buf, b.n, b.header = b.buf[:0], 0, 0 }

// A Reader iterates over the items of a frame.
type Reader struct {
	rest []byte
	err  error
}

// Read returns a Reader at the first item of a frame, which does not read counts. An empty frame has
// no items.
func Read(frame []byte) Reader {
	if len(frame) == 0 {
		return Reader{}
	}
	switch frame[0] {
	case Version:
		return Reader{rest: frame[1:]}
	case VersionCounts:
		items, _, err := cutCounts(frame)
		return Reader{rest: items, err: err}
	}
	return Reader{err: fmt.Errorf("%w: version %d, this program reads %d and %d", ErrFrame, frame[0], Version, VersionCounts)}
}

// Next returns the next item and whether it is a failure. ok is false at the end and after an
// error. The bytes are a part of the frame.
func (r *Reader) Next() (item []byte, failed, ok bool) {
	if len(r.rest) == 0 || r.err != nil {
		return nil, false, false
	}
	header, k := uint64(r.rest[0]), 1
	if header >= 0x80 {
		header, k = binary.Uvarint(r.rest)
	}
	if k <= 0 || header>>1 > uint64(len(r.rest)-k) {
		r.err = fmt.Errorf("%w: an item is longer than the frame", ErrFrame)
		return nil, false, false
	}
	end := k + int(header>>1)
	item, r.rest = r.rest[k:end:end], r.rest[end:]
	return item, header&1 == 1, true
}

// skipShort skips the short items at the front and returns their number.
func (r *Reader) skipShort() (n int) {
	at := 0
	for at < len(r.rest) && r.rest[at] < 0x80 {
		next := at + 1 + int(r.rest[at]>>1)
		if next > len(r.rest) {
			break
		}
		at = next
		n++
	}
	r.rest = r.rest[at:]
	return n
}

// Err returns the error that stopped Next, or nil at the end of a well-formed frame.
func (r *Reader) Err() error { return r.err }

// Short returns the error for a frame with fewer items than announced.
func (r *Reader) Short(read, announced int) error {
	if r.err != nil {
		return r.err
	}
	return fmt.Errorf("%w: %d items, but %d were announced", ErrFrame, read, announced)
}

// Rest returns the unread bytes, without a version byte.
func (r *Reader) Rest() []byte { return r.rest }

// Advance continues at rest, which must be the end of the slice from Rest: the caller has read the
// items before it.
func (r *Reader) Advance(rest []byte) { r.rest = rest }
