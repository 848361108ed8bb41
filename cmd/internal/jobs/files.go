package jobs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Failed is a file with the inputs of the failed items.
type Failed struct {
	file
}

// CreateFailed creates or empties the file. end ends each line. A non-empty head is the first line.
// input is stdin, which must be another file; nil: it is no file.
func CreateFailed(path string, end byte, head string, input *os.File) (*Failed, error) {
	return openFailed(path, os.O_TRUNC, end, head, input)
}

// ContinueFailed is CreateFailed for a file that keeps its lines.
func ContinueFailed(path string, end byte, head string, input *os.File) (*Failed, error) {
	return openFailed(path, 0, end, head, input)
}

func openFailed(path string, flag int, end byte, head string, input *os.File) (*Failed, error) {
	if a, err := os.Stat(path); err == nil && input != nil {
		if b, err := input.Stat(); err == nil && a.Mode().IsRegular() && os.SameFile(a, b) {
			return nil, fmt.Errorf("failed: %s is the input: choose another file, or it would be overwritten", path)
		}
	}
	f := &Failed{file{end: end}}
	if err := f.open("failed", path, flag); err != nil {
		return nil, err
	}
	if head != "" && f.size == 0 {
		f.text.WriteString(head)
		f.text.WriteByte(end)
	}
	return f, f.Flush()
}

// Add adds the lines of rec if it has failed.
func (f *Failed) Add(rec *Record) error {
	if !rec.Failed {
		return nil
	}
	for _, line := range rec.Lines {
		f.text.WriteString(line)
		f.text.WriteByte(f.end)
	}
	return nil
}

// Results is a directory with the output of each item, in the layout of GNU parallel:
// DIR/1/VALUE/stdout, stderr and seq.
type Results struct {
	Dir string
	// Names are the names of the columns. They replace the numbers in the paths.
	Names []string
	// Warn is called once if an item replaces the files of another item.
	Warn   func(text string)
	warned bool
}

// Add writes the files of a record.
func (r *Results) Add(rec *Record) error {
	dir := r.path(rec.Args)
	err := os.MkdirAll(dir, 0o777)
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	seq := strconv.FormatInt(rec.Number, 10)
	if other, err := os.ReadFile(filepath.Join(dir, "seq")); err == nil && string(other) != seq && !r.warned {
		r.warned = true
		r.Warn(fmt.Sprintf("%s has the results of item %s and of item %s: only the last is kept", dir, other, seq))
	}
	stderr := rec.Stderr
	if rec.Function && rec.Failed {
		stderr = []byte(rec.Why + "\n")
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{"stdout", rec.Output}, {"stderr", stderr}, {"seq", []byte(seq)}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.text, 0o666); err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	return nil
}

// Flush has no effect: Add writes the files.
func (r *Results) Flush() error { return nil }

// Close has no effect.
func (r *Results) Close() error { return nil }

// maxName is the largest number of bytes of a file name.
const maxName = 255

var fileNameEscaper = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\x00", `\0`, "/", `\_`)

func (r *Results) path(args []string) string {
	order := make([]int, len(args))
	heads := make([]string, len(args))
	for i := range args {
		order[i], heads[i] = i, strconv.Itoa(i+1)
		if i < len(r.Names) {
			heads[i] = fileNameEscaper.Replace(r.Names[i])
		}
	}
	if len(r.Names) > 0 {
		slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(heads[a], heads[b]) })
	}
	path := []string{r.Dir}
	for _, i := range order {
		name := fileNameEscaper.Replace(args[i])
		if name == "." || name == ".." {
			name = `\` + name // otherwise it would name another directory
		}
		path = append(path, heads[i], name[:min(len(name), maxName)])
	}
	return filepath.Join(path...)
}
