package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/klauspost/compress/zstd"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// The first byte of an item of Zstd.
const (
	asIs   = 0 // the item of the inner codec follows
	packed = 1 // that item follows in a zstd frame
)

// maxGrowth is the largest ratio of an item's unpacked size to its packed size. An item that
// shrinks more is padded. So a bound of packed bytes also bounds unpacked bytes, and a short item
// cannot exhaust memory.
const maxGrowth = 64

// fillerMagic begins a skippable frame of padding, which zstd readers ignore.
const fillerMagic = 0x184d2a50

var (
	errNoInner = errors.New("Zstd got nil: pass the codec that it wraps, such as JSON")
	errNoMark  = errors.New("an item of zstd begins with the byte 00 or 01")
	errNoSize  = errors.New("the zstd frame does not declare its size")
)

type zstdCodec struct {
	inner Codec // check reports nil
	above int
	enc   *zstd.Encoder
	dec   *zstd.Decoder
}

// Zstd wraps c. It compresses items of more than above bytes, if that makes them smaller.
func Zstd(c Codec, above int) Codec {
	if c == nil {
		return &zstdCodec{}
	}
	enc, encErr := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true))
	dec, decErr := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(batch.MaxItem),
		zstd.WithDecodeAllCapLimit(true))
	if err := errors.Join(encErr, decErr); err != nil {
		panic(err) // cannot happen: the options are constants
	}
	// The first use makes channels. A channel made in a testing/synctest bubble cannot be used
	// outside, so they are made here.
	enc.EncodeAll([]byte{0}, nil)
	return &zstdCodec{c, above, enc, dec}
}

// Name returns "zstd+" and the name of the inner codec.
func (z *zstdCodec) Name() string {
	if z.inner == nil || z.inner.Name() == "" {
		return ""
	}
	return "zstd+" + z.inner.Name()
}

func (z *zstdCodec) inspect(t reflect.Type) (*values, error) {
	if z.inner == nil {
		return nil, errNoInner
	}
	return inspect(z.inner, t)
}

// Marshal compresses the item of the inner codec.
func (z *zstdCodec) Marshal(v any) ([]byte, error) {
	if z.inner == nil {
		return nil, errNoInner
	}
	data, err := z.inner.Marshal(v)
	if err != nil {
		return nil, err
	}
	return z.pack(append([]byte{asIs}, data...), 0), nil
}

// Unmarshal unpacks an item for the inner codec.
func (z *zstdCodec) Unmarshal(data []byte, v any) error {
	if z.inner == nil {
		return errNoInner
	}
	plain, err := z.unpack(data, new([]byte))
	if err != nil {
		return err
	}
	return z.inner.Unmarshal(plain, v)
}

// zstdForm returns inner with compressed items.
func zstdForm[T any](z *zstdCodec, inner form[T]) form[T] {
	return form[T]{
		append: func(dst []byte, v T) ([]byte, error) {
			out, err := inner.append(append(dst, asIs), v)
			if err != nil {
				return dst, err
			}
			return z.pack(out, len(dst)), nil
		},
		parser: func() parser[T] {
			parse, room := inner.parser(), new([]byte)
			return func(item []byte, v *T) error {
				plain, err := z.unpack(item, room)
				if err != nil {
					return err
				}
				return parse(plain, v)
			}
		},
	}
}

// pack compresses the item that begins at at, if that makes it smaller. It leaves an item above the
// limit as it is.
func (z *zstdCodec) pack(dst []byte, at int) []byte {
	end, size := len(dst), len(dst)-at-1
	if size <= z.above || size > batch.MaxItem {
		return dst
	}
	dst = z.enc.EncodeAll(dst[at+1:], dst)
	if lack := size/maxGrowth + 1 - (len(dst) - end); lack > 0 {
		dst = binary.LittleEndian.AppendUint32(dst, fillerMagic)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(lack))
		dst = append(dst, make([]byte, lack)...)
	}
	if len(dst)-end >= size {
		return dst[:end]
	}
	dst[at] = packed
	return append(dst[:at+1], dst[end:]...)
}

// unpack returns the item of the inner codec. It may use room as memory.
func (z *zstdCodec) unpack(item []byte, room *[]byte) ([]byte, error) {
	if len(item) == 0 || item[0] > packed {
		return nil, errNoMark
	}
	mark, item := item[0], item[1:]
	if mark == asIs {
		return item, nil
	}
	var head zstd.Header
	if err := head.Decode(item); err != nil {
		return nil, err
	}
	if !head.HasFCS {
		return nil, errNoSize
	}
	size := int(min(head.FrameContentSize, batch.MaxItem+1))
	if most := maxGrowth * min(len(item), batch.MaxItem/maxGrowth); size > most {
		return nil, fmt.Errorf("%d bytes of zstd declare a size of %d, at most %d are taken", len(item), head.FrameContentSize, most)
	}
	if cap(*room) < size {
		*room = make([]byte, size)
	}
	return z.dec.DecodeAll(item, (*room)[:0:size])
}
