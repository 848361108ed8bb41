package codec

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// This file encodes and decodes the texts of many integers at once. Texts are most of the cost of
// an integer item, so it needs no call and no allocation for each item.

func frameInts[I signed](dst []byte, vs []I) []byte {
	for part := range slices.Chunk(vs, chunkItems) {
		dst = slices.Grow(dst, chunkItems*batch.Short)
		all, at := dst[:cap(dst)], len(dst)
		for _, v := range part {
			begin, magnitude := at, uint64(v)
			at++
			if v < 0 {
				all[at] = '-'
				at++
				magnitude = -magnitude
			}
			at = putDigits(all, at, magnitude)
			all[begin] = byte(at-begin-1) << 1
		}
		dst = all[:at]
	}
	return dst
}

func frameUints[U unsigned](dst []byte, vs []U) []byte {
	for part := range slices.Chunk(vs, chunkItems) {
		dst = slices.Grow(dst, chunkItems*batch.Short)
		all, at := dst[:cap(dst)], len(dst)
		for _, v := range part {
			begin := at
			at = putDigits(all, at+1, uint64(v))
			all[begin] = byte(at-begin-1) << 1
		}
		dst = all[:at]
	}
	return dst
}

// chunkItems is the number of integers for which memory is reserved at once.
const chunkItems = 64

// zeros is the ASCII text of eight zeros, one byte for each digit.
const zeros = 0x3030303030303030

// putDigits writes n at an offset of dst and returns the offset after it. It may overwrite up to 7
// further bytes.
func putDigits(dst []byte, at int, n uint64) (end int) {
	if n >= 1e8 {
		at = putDigits(dst, at, n/1e8)
		binary.LittleEndian.PutUint64(dst[at:], splitDigits(n%1e8)|zeros)
		return at + 8
	}
	word := splitDigits(n)
	leading := min(bits.TrailingZeros64(word)/8, 7)
	binary.LittleEndian.PutUint64(dst[at:], (word|zeros)>>(8*leading))
	return at + 8 - leading
}

// splitDigits turns a number below 1e8 into eight digits, the first one in the lowest byte: first
// two numbers of four digits, then four of two, in one word. 10486/1<<20 is about 1/100, 103/1<<10
// about 1/10.
func splitDigits(n uint64) uint64 {
	fours := n/1e4 | n%1e4<<32
	hundreds := fours * 10486 >> 20 & 0x0000007f0000007f
	twos := hundreds | (fours-100*hundreds)<<16
	tens := twos * 103 >> 10 & 0x000f000f000f000f
	return tens | (twos-10*tens)<<8
}

func scanInts[I signed](frame []byte, vs []I) (n int, rest []byte) {
	for n < len(vs) {
		v, size, ok := scanWord(frame)
		value := int64(v)
		if !ok {
			var text []byte
			if text, size = shortValue(frame); size == 0 {
				break
			}
			if text[0] == '-' {
				v, ok = decimal(text[1:])
				value = -int64(v)
			} else {
				v, ok = decimal(text)
				value = int64(v)
			}
			if !ok || len(text) > 18 {
				break
			}
		}
		if int64(I(value)) != value {
			break
		}
		vs[n] = I(value)
		frame = frame[size:]
		n++
	}
	return n, frame
}

func scanUints[U unsigned](frame []byte, vs []U) (n int, rest []byte) {
	for n < len(vs) {
		v, size, ok := scanWord(frame)
		if !ok {
			var text []byte
			if text, size = shortValue(frame); size == 0 {
				break
			}
			if v, ok = decimal(text); !ok {
				break
			}
		}
		if uint64(U(v)) != v {
			break
		}
		vs[n] = U(v)
		frame = frame[size:]
		n++
	}
	return n, frame
}

// shortValue returns the text of the first item of a frame, if that is a short value, and the size
// of the item with its header.
func shortValue(frame []byte) (text []byte, size int) {
	n, k := header(frame)
	if k != 1 || n == 0 {
		return nil, 0
	}
	return frame[1 : 1+n], 1 + n
}

// scanWord decodes an item of up to eight digits, if eight bytes can be read. size includes the
// header.
func scanWord(frame []byte) (n uint64, size int, ok bool) {
	if len(frame) < 9 {
		return 0, 0, false
	}
	head := int(frame[0])
	digits := head >> 1
	if head&1 != 0 || digits == 0 || digits > 8 {
		return 0, 0, false
	}
	word := binary.LittleEndian.Uint64(frame[1:9])
	if byte(word) == '0' && digits > 1 {
		return 0, 0, false
	}
	n, ok = joinDigits(word<<(64-8*digits) | zeros>>(8*digits))
	return n, 1 + digits, ok
}

// joinDigits is the inverse of spread, for ASCII digits. ok is false if a byte is no digit.
func joinDigits(word uint64) (n uint64, ok bool) {
	const high, low = 0xf0f0f0f0f0f0f0f0, 0x0f0f0f0f0f0f0f0f
	if word&high != zeros || (word&low+0x0606060606060606)&high != 0 {
		return 0, false
	}
	word = (word & low * 2561) >> 8 & 0x00ff00ff00ff00ff
	word = (word * 6553601) >> 16 & 0x0000ffff0000ffff
	return word * 42949672960001 >> 32, true
}
