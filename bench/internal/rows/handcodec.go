package rows

import (
	"encoding/binary"
	"errors"

	"github.com/dqbridge/dqbridge/internal/codec"
)

// Encoded stands as dqbridge encodes it by default, each item behind its
// length.
func Encoded[T any](items, entries int) (p Packing[T], err error) {
	typed, err := codec.For[T](nil)
	return Packing[T]{items, entries,
		func(dst []byte, items []T) (_ []byte, err error) {
			var item []byte
			for _, v := range items {
				if item, err = typed.Append(item[:0], v); err != nil {
					return nil, err
				}
				dst = append(binary.AppendUvarint(dst, uint64(len(item))), item...)
			}
			return dst, nil
		},
		func(dst []T, data []byte) (_ []T, err error) {
			var encoded [][]byte
			for len(data) > 0 {
				size, n := binary.Uvarint(data)
				if n <= 0 || uint64(len(data)-n) < size {
					return nil, errors.New("an entry that is cut off")
				}
				encoded, data = append(encoded, data[n:n+int(size)]), data[n+int(size):]
			}
			dst = typed.Decode(encoded, dst, func(_ int, bad error) { err = bad })
			return dst, err
		},
	}, err
}
