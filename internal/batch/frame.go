// Package batch is the unit that moves through dqbridge: the items at the
// offsets [First, First+N) of one source, framed as bytes. It knows neither
// Redis nor the types of the items.
package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Version is the first byte of every frame.
const Version = 1

// ErrFrame is wrapped by every error about a frame that is not well formed.
var ErrFrame = errors.New("malformed batch frame")

// A Builder frames items one after the other. The zero value is ready to use.
//
//	buf := b.Begin()
//	buf = append(buf, "the item"...)
//	b.End(buf)
//
// The frame is the version byte and then, for each item, the unsigned varint
// of 2 x its length (plus 1 where the item is a failure) and its bytes.
type Builder struct {
	buf  []byte
	open int // where the header of the item begun stands
	n    int
}

// Begin starts an item: append its bytes to what it returns and hand the
// result to End, EndFailure or Abort.
func (b *Builder) Begin() []byte {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, Version)
	}
	b.open = len(b.buf)
	return append(b.buf, 0)
}

// End closes the item begun: a value.
func (b *Builder) End(buf []byte) { b.end(buf, 0) }

// EndFailure closes the item begun: an encoded Failure.
func (b *Builder) EndFailure(buf []byte) { b.end(buf, 1) }

// Abort forgets the item begun. buf is what Begin returned, grown or not.
func (b *Builder) Abort(buf []byte) { b.buf = buf[:b.open] }

func (b *Builder) end(buf []byte, mark uint64) {
	size := len(buf) - b.open - 1
	header := uint64(size)<<1 | mark
	if header < 0x80 {
		buf[b.open] = byte(header)
	} else {
		var head [binary.MaxVarintLen64]byte
		k := binary.PutUvarint(head[:], header)
		buf = append(buf, head[:k-1]...) // room; the content is overwritten next
		copy(buf[b.open+k:], buf[b.open+1:b.open+1+size])
		copy(buf[b.open:], head[:k])
	}
	b.buf = buf
	b.n++
}

// Value adds an item that is encoded already.
func (b *Builder) Value(item []byte) { b.End(append(b.Begin(), item...)) }

// Failure adds a failed item.
func (b *Builder) Failure(f Failure) { b.EndFailure(f.Append(b.Begin())) }

// Fill adds n items at once: frame appends them to what it gets, headers included.
func (b *Builder) Fill(n int, frame func(dst []byte) []byte) {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, Version)
	}
	b.buf = frame(b.buf)
	b.n += n
}

// Grow makes room for a frame of so many bytes.
func (b *Builder) Grow(bytes int) { b.buf = slices.Grow(b.buf, max(0, bytes-len(b.buf))) }

// Use lets an empty Builder frame into memory that is nobody else's any more.
func (b *Builder) Use(memory []byte) { b.buf = memory[:0] }

// Len is the number of items framed, Size the bytes of the frame so far.
func (b *Builder) Len() int { return b.n }

// Size is the number of bytes framed so far.
func (b *Builder) Size() int { return len(b.buf) }

// Frame returns the frame. It stays the Builder's until Reset or Take.
func (b *Builder) Frame() []byte { return b.buf }

// Take returns the frame, which is the caller's from now on, and resets.
func (b *Builder) Take() []byte {
	buf := b.buf
	*b = Builder{}
	return buf
}

// Reset forgets everything and keeps the memory.
func (b *Builder) Reset() { b.buf, b.n, b.open = b.buf[:0], 0, 0 }

// A Reader walks the items of a frame.
type Reader struct {
	rest []byte
	err  error
}

// Read starts at the first item of a frame. An empty frame has no items.
func Read(frame []byte) Reader {
	if len(frame) == 0 {
		return Reader{}
	}
	if frame[0] != Version {
		return Reader{err: fmt.Errorf("%w: version %d, this program reads %d", ErrFrame, frame[0], Version)}
	}
	return Reader{rest: frame[1:]}
}

// Next returns the next item, whether it is a failure, and whether there was
// one. The bytes are those of the frame.
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

// skipShort passes the items that are short, as most are, and returns how many.
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

// Err tells why Next stopped early, nil at the end of a good frame.
func (r *Reader) Err() error { return r.err }

// Short is the error of a frame of which fewer items were read than announced.
func (r *Reader) Short(read, announced int) error {
	if r.err != nil {
		return r.err
	}
	return fmt.Errorf("%w: %d items where %d were announced", ErrFrame, read, announced)
}

// Rest is what has not been read, without a version byte.
func (r *Reader) Rest() []byte { return r.rest }

// Advance goes on at rest, the end of what Rest returned: whoever called has read
// the items before it.
func (r *Reader) Advance(rest []byte) { r.rest = rest }
