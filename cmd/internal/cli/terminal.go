package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// IsTerminal reports whether a reader or a writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// ShowsStatus reports whether w is a terminal with a status line. TERM=dumb and NO_COLOR turn it
// off.
func ShowsStatus(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("TERM") != "dumb" && os.Getenv("NO_COLOR") == ""
}

// defaultWidth is the width of a terminal of unknown size.
const defaultWidth = 80

// width returns the number of columns of a terminal.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return columns
		}
	}
	return defaultWidth
}

// Printable returns text without control characters, which a terminal would execute, and without
// those that change the direction of the text behind them. Newlines become spaces, and others an
// escape such as \x1b.
func Printable(text string) string {
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	return escape(strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ").Replace(text))
}

// escapeLines returns text for a terminal. It escapes control characters other than tabs and
// newlines.
func escapeLines(text []byte) []byte {
	if !strings.ContainsFunc(string(text), func(r rune) bool { return isControl(r) && r != '\n' }) {
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

// isControl reports whether r is a control character other than a tab, one for the direction of text
// or the end of a line, or an invalid byte.
func isControl(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}

const hexDigits = "0123456789abcdef"

func escape(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			b.WriteString("\uFFFD") // invalid bytes
		case isControl(r) && r > 0xff && r != utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x`, r)
		case isControl(r) && r != utf8.RuneError:
			b.WriteString(`\x` + string(hexDigits[r>>4&15]) + string(hexDigits[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
