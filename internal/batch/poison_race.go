//go:build race

package batch

// poison overwrites a frame that must have no references, so that tests with the race detector find
// a use after Put.
func poison(frame []byte) {
	frame = frame[:cap(frame)]
	for i := range frame {
		frame[i] = 0xdb
	}
}
