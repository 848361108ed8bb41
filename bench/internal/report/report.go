// Package report writes tables and puts them into the documentation.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// Grid writes rows of cells, the first column on the left and the others on the right. The first
// row is the head.
func Grid(w io.Writer, rows [][]string) error {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line += cell + space
			} else {
				line += "  " + space + cell
			}
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// Parts writes parts with an empty line after each.
func Parts(w io.Writer, parts ...func(io.Writer) error) error {
	for _, write := range parts {
		if err := write(w); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
}

// Cell formats v, or is a dash without v.
func Cell(v *float64, format func(float64) string) string {
	if v == nil {
		return "-"
	}
	return format(*v)
}

// Format is a format for Cell.
func Format(format string) func(float64) string {
	return func(v float64) string { return fmt.Sprintf(format, v) }
}

// Percent writes 0.1234 as 12.34 %.
func Percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }

// Short writes 1234567 as 1.23M and 12345 as 12.3k.
func Short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2fM", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1fk", v/1e3)
	}
	return fmt.Sprintf("%.0f", v)
}

// Thousands writes 1234567 as 1,234,567.
func Thousands(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	first := cmp.Or(len(digits)%3, 3)
	parts := []string{digits[:first]}
	for i := first; i < len(digits); i += 3 {
		parts = append(parts, digits[i:i+3])
	}
	return strings.Join(parts, ",")
}

// Significant writes three digits of small and large values.
func Significant(v float64) string {
	switch {
	case v >= 1000:
		return Thousands(v)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// The marks of the figures in a page.
const (
	begin = "<!-- figures: begin"
	end   = "<!-- figures: end -->"
)

// Replace puts text between the marks of a file.
func Replace(file, text string) error {
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	front, rest, found := strings.Cut(string(old), begin)
	comment, rest, closed := strings.Cut(rest, "-->\n")
	_, back, ended := strings.Cut(rest, end)
	if !found || !closed || !ended {
		return fmt.Errorf("%s: %w", file, errors.New("the marks of the figures are missing"))
	}
	page := front + begin + comment + "-->\n" + strings.TrimRight(text, "\n") + "\n" + end + back
	return os.WriteFile(file, []byte(page), 0o644)
}

// Machine is the line with the machine, the versions and the date of the figures.
func Machine(redis string) string {
	model := "a machine"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d processors, %s, Redis %s; %s.",
		model, runtime.GOMAXPROCS(0), runtime.Version(), redis, time.Now().Format("January 2006"))
}
