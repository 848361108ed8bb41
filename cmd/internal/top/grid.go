package top

import (
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
)

// The styles only stress what words say as well: without colors nothing is missing.
var (
	headStyle   = lipgloss.NewStyle().Bold(true)
	chosenStyle = lipgloss.NewStyle().Reverse(true)
	badStyle    = lipgloss.NewStyle().Foreground(lipgloss.Red)
	warnStyle   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	goodStyle   = lipgloss.NewStyle().Foreground(lipgloss.Green)
)

const (
	marker = "> " // before the chosen row
	blank  = "  " // before the others
	gap    = "  " // between two columns
	least  = 6    // characters of a column that is cut
)

// styleOf returns the style of the text of a state.
func styleOf(state string) lipgloss.Style {
	word, _, _ := strings.Cut(strings.TrimSuffix(state, ", full"), " ")
	switch {
	case strings.HasSuffix(state, ", full"):
		return warnStyle
	case word == "stuck", word == "broken", word == "silent", word == "dead", word == "fail":
		return badStyle
	case word == "paused", word == "late", word == "away", word == "cut", word == "full", word == "window", word == "warn":
		return warnStyle
	case word == "running", word == "live":
		return goodStyle
	}
	return lipgloss.NewStyle()
}

// grid returns the heads and rows as lines of at most so many characters.
func grid[T any](columns []cli.Column[T], rows []T, width int) []string {
	cells := make([][]string, 1, len(rows)+1)
	natural, empty := make([]int, len(columns)), make([]bool, len(columns))
	for i, c := range columns {
		cells[0] = append(cells[0], c.Head)
		natural[i], empty[i] = len(c.Head), true
	}
	for _, row := range rows {
		line := make([]string, len(columns))
		for i, c := range columns {
			line[i] = c.Text(row)
			natural[i] = max(natural[i], ansi.StringWidthWc(line[i]))
			empty[i] = empty[i] && (line[i] == "0" || line[i] == "-")
		}
		cells = append(cells, line)
	}
	widths := fit(natural, empty, width)
	lines := make([]string, len(cells))
	for n, line := range cells {
		var parts []string
		for i, text := range line {
			if widths[i] == 0 {
				continue
			}
			text = padded(text, widths[i])
			if n > 0 && columns[i].Head == "STATE" {
				text = styleOf(line[i]).Render(text)
			}
			parts = append(parts, text)
		}
		lines[n] = strings.TrimRight(strings.Join(parts, gap), " ")
	}
	return lines
}

// fit returns the widths of columns in a line with so much room; a column that is left out has 0.
// Columns without a value give way first, then the widest ones shrink, and at last those on the right
// give way. The first one stays.
func fit(natural []int, empty []bool, room int) []int {
	widths := append([]int(nil), natural...)
	used := func() (sum int) {
		for _, w := range widths {
			if w > 0 {
				sum += w + len(gap)
			}
		}
		return sum - len(gap)
	}
	for i := len(widths) - 1; i > 0 && used() > room; i-- {
		if empty[i] {
			widths[i] = 0
		}
	}
	for used() > room {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= least {
			break
		}
		widths[widest]--
	}
	for i := len(widths) - 1; i > 0 && used() > room; i-- {
		widths[i] = 0
	}
	widths[0] = max(1, min(widths[0], room))
	return widths
}

// padded returns text with exactly so many characters.
func padded(text string, width int) string {
	text = cut(text, width)
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidthWc(text)))
}

// cut returns text of at most so many characters.
func cut(text string, width int) string { return ansi.TruncateWc(text, max(0, width), "…") }

// wrap divides text into lines.
func wrap(text string, width int) []string {
	return strings.Split(ansi.WrapWc(text, max(1, width), ""), "\n")
}

// plain returns a line without styles.
func plain(line string) string { return ansi.Strip(line) }

// clean returns text of data for one line: without control characters and tabs.
func clean(text string) string { return strings.ReplaceAll(cli.Printable(text), "\t", blank) }
