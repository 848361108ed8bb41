package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// A file is one that rows are added to. A row is whole or it is not there.
type file struct {
	kind string // in errors
	end  byte   // of a row
	f    *os.File
	size int64        // of the whole rows
	text bytes.Buffer // to be written
}

// open opens a file to be written, which keeps what is there if keep says so: but for a last row without an end.
func (f *file) open(kind, path string, keep bool) (err error) { //nolint:revive // the user says it
	f.kind = kind
	flags := os.O_RDWR | os.O_CREATE
	if !keep {
		flags |= os.O_TRUNC
	}
	if f.f, err = os.OpenFile(path, flags, 0o666); err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	if f.size, err = wholeRows(f.f, f.end); err == nil && f.regular() {
		err = f.f.Truncate(f.size)
	}
	if err == nil && f.regular() {
		_, err = f.f.Seek(f.size, io.SeekStart)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", kind, err), f.f.Close())
	}
	return nil
}

func (f *file) regular() bool {
	info, err := f.f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// wholeRows is the size of a file up to the end of its last row.
func wholeRows(f *os.File, row byte) (int64, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, err
	}
	block := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		from := max(0, end-int64(len(block)))
		part := block[:end-from]
		if _, err := f.ReadAt(part, from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, row); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// Flush writes the added rows. A row that cannot be written to its end is removed again.
func (f *file) Flush() error {
	if f.text.Len() == 0 {
		return nil
	}
	text := f.text.Bytes()
	n, err := f.f.Write(text)
	f.text.Reset()
	if err == nil {
		f.size += int64(n)
		return nil
	}
	if whole := int64(bytes.LastIndexByte(text[:n], f.end) + 1); f.regular() {
		f.size += whole
		_ = f.f.Truncate(f.size) // the error of the write is told
	}
	return fmt.Errorf("%s: %w", f.kind, err)
}

// Close writes what is left and closes the file.
func (f *file) Close() error { return errors.Join(f.Flush(), f.f.Close()) }
