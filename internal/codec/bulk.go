package codec

import (
	"encoding/binary"
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A bulk encodes and decodes many items of one type at once, framed as in a batch. Work that a
// batch needs once is not repeated for each item.
type bulk[T any] struct {
	// frame appends the items of all values. It cannot fail.
	frame func(dst []byte, vs []T) []byte
	// scan decodes values up to the first item that needs the slow path: a failure, an unusual text
	// or an invalid one.
	scan func(frame []byte, vs []T) (n int, rest []byte)
	// size returns the size of a value's item; nil if all items are short.
	size func(v T) int
	// faithful says that a value decodes to itself and is immutable, so that it may be passed on
	// without encoding.
	faithful bool
}

// Local returns a Typed of values that stay in the process. It encodes none. size returns the bytes that
// a value counts as.
func Local[T any](size func(v T) int) Typed[T] {
	return Typed[T]{form: form[T]{bulk: &bulk[T]{size: size, faithful: true}}}
}

// Fill adds the items of values to a batch. It returns false if T has no bulk form; use Append
// then.
func (t Typed[T]) Fill(b *batch.Builder, vs []T) bool {
	if t.form.bulk == nil {
		return false
	}
	b.Fill(len(vs), func(dst []byte) []byte { return t.form.bulk.frame(dst, vs) })
	return true
}

// Sized reports whether T has a bulk form and Size gives the size of an item before it is encoded.
func (t Typed[T]) Sized() bool { return t.form.bulk != nil && t.form.bulk.size != nil }

// Copies reports whether decoded values never refer to the memory of their frame.
// user runs.
func (t Typed[T]) Copies() bool { return t.form.bulk != nil }

// Faithful reports whether values may be passed on within the process instead of their items.
func (t Typed[T]) Faithful() bool { return t.form.bulk != nil && t.form.bulk.faithful }

// Short reports whether T has a bulk form whose items need at most batch.Short bytes.
func (t Typed[T]) Short() bool { return t.form.bulk != nil && t.form.bulk.size == nil }

// Size returns about the number of bytes of v's item. T must have a bulk form.
func (t Typed[T]) Size(v T) int {
	if t.form.bulk.size == nil {
		return batch.Short - 1
	}
	return t.form.bulk.size(v)
}

// Decode appends the values of the next n items of r to dst. No value refers to the memory of the
// frame.
//
// For a failure and for an item that cannot be decoded, Decode appends the zero value and calls
// hole: with the failure's bytes, which are a part of the frame, or with the error. It returns an
// error if the frame ends before n items.
func (t Typed[T]) Decode(r *batch.Reader, n int, dst []T, hole func(i int, failed []byte, err error)) ([]T, error) {
	first := len(dst)
	dst = slices.Grow(dst, n)[:first+n]
	clear(dst[first:])
	vs := dst[first:]
	var parse parser[T]
	for i := 0; i < n; i++ {
		if t.form.bulk != nil {
			k, rest := t.form.bulk.scan(r.Rest(), vs[i:])
			r.Advance(rest)
			if i += k; i == n {
				break
			}
		}
		item, failed, ok := r.Next()
		if !ok {
			return dst[:first], r.Short(i, n)
		}
		if failed {
			hole(i, item, nil)
			continue
		}
		if parse == nil {
			parse = t.form.parser()
		}
		if err := parse(item, &vs[i]); err != nil {
			var zero T
			vs[i] = zero
			hole(i, nil, err)
		}
	}
	return dst, nil
}

// Results is Decode for the results of a stage: r reads the frame of a queue's batch, or all n
// items are lost. It calls hole for failures only.
func (t Typed[T]) Results(r batch.Reader, n int, lost *batch.Failure, queue string, dst []T, hole func(i int, why *batch.Failure)) []T {
	first := len(dst)
	if lost == nil {
		values, err := t.Decode(&r, n, dst, func(i int, failed []byte, err error) {
			why := batch.Failure{Code: batch.CodeDecode, Stage: queue}
			if err != nil {
				why.Message, why.Stack = batch.Describe(err)
			} else {
				why = batch.ParseFailure(failed)
			}
			hole(i, &why)
		})
		if err == nil {
			return values
		}
		lost = &batch.Failure{Code: batch.CodeLost, Message: err.Error(), Stage: queue} // cannot happen: the reader has checked the frame
	}
	for i := range n {
		hole(i, lost)
	}
	dst = slices.Grow(dst, n)[:first+n]
	clear(dst[first:])
	return dst
}

// One decodes a single item.
func (t Typed[T]) One(item []byte) (v T, err error) {
	if err = t.form.parser()(item, &v); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

// frameTexts returns a frame function for values whose short item the function text appends.
func frameTexts[T any](text func([]byte, T) []byte) func([]byte, []T) []byte {
	return func(dst []byte, vs []T) []byte {
		for _, v := range vs {
			at := len(dst)
			dst = text(append(dst, 0), v)
			dst[at] = byte(len(dst)-at-1) << 1
		}
		return dst
	}
}

// scanTexts returns a scan function for short items.
func scanTexts[T any](parse parser[T]) func([]byte, []T) (int, []byte) {
	return func(frame []byte, vs []T) (n int, rest []byte) {
		for n < len(vs) {
			size, k := header(frame)
			if k != 1 || parse(frame[1:1+size], &vs[n]) != nil {
				break
			}
			frame = frame[1+size:]
			n++
		}
		return n, frame
	}
}

// header decodes the header of a value: the size of its item, and of the header itself. k is 0 if a
// failure or a malformed header is next.
func header(frame []byte) (size, k int) {
	if len(frame) == 0 || frame[0]&1 != 0 {
		return 0, 0
	}
	twice, k := uint64(frame[0]), 1
	if twice >= 0x80 {
		if twice, k = binary.Uvarint(frame); k <= 0 {
			return 0, 0
		}
	}
	if twice>>1 > uint64(len(frame)-k) {
		return 0, 0
	}
	return int(twice >> 1), k
}

// chunk is how many bytes of plain items are copied at once. A value that is kept for long thus
// keeps little memory of its neighbours.
const chunk = 4 << 10

// fitting returns how many items, of at most most, are copied at once, and the offset of their
// end. It is at least one item if a value is next.
func fitting(frame []byte, most int) (n, end int) {
	for n < most {
		size, k := header(frame[end:])
		if k == 0 || n > 0 && end+k+size > chunk {
			break
		}
		end += k + size
		n++
	}
	return n, end
}

func scanStrings(frame []byte, vs []string) (n int, rest []byte) {
	for n < len(vs) {
		count, end := fitting(frame, len(vs)-n)
		if count == 0 {
			break
		}
		all, at := string(frame[:end]), 0
		for range count {
			size, k := header(frame[at:])
			vs[n] = all[at+k : at+k+size]
			at += k + size
			n++
		}
		frame = frame[end:]
	}
	return n, frame
}

func scanBytes[B ~[]byte](frame []byte, vs []B) (n int, rest []byte) {
	for n < len(vs) {
		count, end := fitting(frame, len(vs)-n)
		if count == 0 {
			break
		}
		all, at := append(make(B, 0, end), frame[:end]...), 0
		for range count {
			size, k := header(frame[at:])
			at += k
			vs[n] = all[at : at+size : at+size]
			at += size
			n++
		}
		frame = frame[end:]
	}
	return n, frame
}

// framePlain frames values that are their own items.
func framePlain[T ~string | ~[]byte](dst []byte, vs []T) []byte {
	for _, v := range vs {
		dst = append(binary.AppendUvarint(dst, uint64(len(v))<<1), v...)
	}
	return dst
}
