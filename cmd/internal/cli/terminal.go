package cli

import (
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ShowsStatus reports whether w is a terminal on which a line can be rewritten, and the user wants that.
func ShowsStatus(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}

// defaultWidth is the width of a terminal that does not tell it.
const defaultWidth = 80

// width is how many columns a terminal has.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return defaultWidth
}

// Printable is text without control characters: a terminal would obey them. A newline is a space, others stand
// as \x1b.
func Printable(text string) string {
	if !strings.ContainsFunc(text, controls) {
		return text
	}
	return escape(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(text))
}

// harmless is text for a terminal, in lines.
func harmless(text []byte) []byte {
	if !strings.ContainsFunc(string(text), func(r rune) bool { return controls(r) && r != '\n' }) {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		text, newline := strings.CutSuffix(line, "\n")
		b.WriteString(escape(text))
		if newline {
			b.WriteByte('\n')
		}
	}
	return []byte(b.String())
}

func controls(r rune) bool { return unicode.IsControl(r) && r != '\t' || r == utf8.RuneError }

const digits = "0123456789abcdef"

func escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			b.WriteString("\uFFFD") // bytes that are no text
		case controls(r) && r != utf8.RuneError:
			b.WriteString(`\x` + string(digits[r>>4&15]) + string(digits[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
