package cli

import (
	"io"
	"os"
	"sync/atomic"
)

// A Source is stdin with the number of bytes that were read, and with its size if it is a file.
type Source struct {
	r    io.Reader
	size int64 // 0: unknown
	read atomic.Int64
}

// NewSource returns a Source that reads r.
func NewSource(r io.Reader) *Source {
	s := &Source{r: r}
	f, ok := r.(*os.File)
	if !ok {
		return s
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		if at, err := f.Seek(0, io.SeekCurrent); err == nil {
			s.size = info.Size() - at
		}
	}
	return s
}

// Read reads from stdin.
func (s *Source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.read.Add(int64(n))
	return n, err
}

// estimate returns the estimated number of items of the file, from the number of items in the bytes
// that were read. 0: unknown.
func (s *Source) estimate(items int64) int64 {
	read := s.read.Load()
	if s.size <= 0 || read <= 0 || read >= s.size {
		return 0
	}
	return int64(float64(items) / float64(read) * float64(s.size))
}
