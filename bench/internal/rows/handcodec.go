package rows

import (
	"encoding/binary"
	"errors"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// Encoded uses the default encoding of dqbridge, in its frames, after the number of items.
func Encoded[T any](items, entries int) (p Packing[T], err error) {
	typed, err := codec.For[T](nil)
	return Packing[T]{items, entries,
		func(dst []byte, items []T) (_ []byte, err error) {
			var b batch.Builder
			for _, v := range items {
				item, err := typed.Append(b.Begin(), v)
				if err != nil {
					return nil, err
				}
				b.End(item)
			}
			return append(binary.AppendUvarint(dst, uint64(len(items))), b.Take()...), nil
		},
		func(dst []T, data []byte) (_ []T, err error) {
			n, size := binary.Uvarint(data)
			if size <= 0 || n > uint64(len(data)) {
				return nil, errors.New("an entry that is cut off")
			}
			r := batch.Read(data[size:])
			var bad error
			dst, err = typed.Decode(&r, int(n), dst, func(_ int, _ []byte, err error) { bad = err })
			return dst, errors.Join(err, bad)
		},
	}, err
}
