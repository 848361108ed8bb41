package jobs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Failed is a file with the inputs of the items that failed.
type Failed struct {
	file
}

// CreateFailed begins such a file, or continues it if keep says so. Each line has end behind it. A head is
// its first line. The file must not be the input.
func CreateFailed(path string, keep bool, end byte, head string, input *os.File) (*Failed, error) {
	if a, err := os.Stat(path); err == nil && input != nil {
		if b, err := input.Stat(); err == nil && a.Mode().IsRegular() && os.SameFile(a, b) {
			return nil, fmt.Errorf("failed: %s is the input, which it would overwrite", path)
		}
	}
	f := &Failed{file{end: end}}
	if err := f.open("failed", path, keep); err != nil {
		return nil, err
	}
	if head != "" && f.size == 0 {
		f.text.WriteString(head)
		f.text.WriteByte(end)
	}
	return f, f.Flush()
}

// Add adds the lines of a record that failed.
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

// Results is a directory with the output of each item, as GNU parallel lays it out: DIR/1/VALUE/stdout, stderr and seq.
type Results struct {
	Dir string
	// Names are those of the columns, which stand in place of their numbers.
	Names []string
	// Warn is called once, if an item replaces the files of another one.
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

// Flush does nothing: Add has written the files.
func (r *Results) Flush() error { return nil }

// Close does nothing.
func (r *Results) Close() error { return nil }

// maxName is how long the name of a file may be.
const maxName = 255

var asName = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\x00", `\0`, "/", `\_`)

func (r *Results) path(args []string) string {
	order := make([]int, len(args))
	heads := make([]string, len(args))
	for i := range args {
		order[i], heads[i] = i, strconv.Itoa(i+1)
		if i < len(r.Names) {
			heads[i] = asName.Replace(r.Names[i])
		}
	}
	if len(r.Names) > 0 {
		slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(heads[a], heads[b]) })
	}
	path := []string{r.Dir}
	for _, i := range order {
		name := asName.Replace(args[i])
		if name == "." || name == ".." {
			name = `\` + name // it would be another directory
		}
		path = append(path, heads[i], name[:min(len(name), maxName)])
	}
	return filepath.Join(path...)
}
