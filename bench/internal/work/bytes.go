package work

import (
	"encoding/binary"
	"fmt"
)

// Bytes returns the i-th item of a size: its number at the front, as far as it fits, and then bytes
// that do not repeat soon.
func Bytes(i, size int) []byte {
	b := make([]byte, size)
	for at := 0; at < size; at += 8 {
		x := uint64(i)
		if at > 0 {
			x = (x<<32 + uint64(at)) * 0x9e3779b97f4a7c15
		}
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], x)
		copy(b[at:], word[:])
	}
	return b
}

// CheckBytes returns an error if b is not the i-th item, by its size and its number.
func CheckBytes(b []byte, i, size int) error {
	var front [8]byte
	copy(front[:], b)
	if x := binary.LittleEndian.Uint64(front[:]); len(b) != size || size >= 8 && x != uint64(i) {
		return fmt.Errorf("result %d has %d bytes and the number %d: lost, doubled or out of order", i, len(b), x)
	}
	return nil
}
