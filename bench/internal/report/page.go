package report

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

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
