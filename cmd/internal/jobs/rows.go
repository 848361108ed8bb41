package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// A file is a file of rows. It contains whole rows only, also after a failed write.
type file struct {
	kind string // in errors
	end  byte   // of a row
	f    *os.File
	size int64        // of the whole rows
	text bytes.Buffer // added and not written
}

// open opens the file for writing. flag is os.O_TRUNC for an empty file, or 0 to keep its whole
// rows.
func (f *file) open(kind, path string, flag int) (err error) {
	f.kind = kind
	if f.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|flag, 0o666); err != nil {
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

// wholeRows returns the size of the whole rows of a file.
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

// Flush writes the added rows. It removes a row that is written in part only.
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
		_ = f.f.Truncate(f.size) // the caller gets the error of the write
	}
	return fmt.Errorf("%s: %w", f.kind, err)
}

// Close writes the remaining rows and closes the file.
func (f *file) Close() error { return errors.Join(f.Flush(), f.f.Close()) }
