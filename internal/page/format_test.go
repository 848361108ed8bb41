package page

import (
	"strings"
	"testing"
	"time"
)

func TestCleanEscapesAndCuts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain é 漢\n\t":           "plain é 漢\n\t",
		"a\x1b[31mb\x00":          `a\x1b[31mb\x00`,
		"\u202egnp":               `\u202egnp`,
		"bad \xff\xfe utf8":       `bad \xff\xfe utf8`,
		strings.Repeat("é", 3000): strings.Repeat("é", 2048) + "… (5.9 KiB in all)",
	} {
		if got := clean(text, maxText); got != want {
			t.Errorf("%.40q: %.80q, not %.80q", text, got, want)
		}
	}
	if got := clean("aé", 2); got != "a… (3 B in all)" {
		t.Errorf("a cut inside of a character: %q", got)
	}
}

func TestNumbersAreForPeople(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		number[int64](1234567): "1,234,567", number(-1000): "-1,000", number(999): "999", rate(12.04): "12.0/s", rate(0): "0/s", rate(2964.4): "2,964/s",
		percent(0): "0 %", percent(0.001): "< 1 %", percent(0.974): "97 %", byteSize(1023): "1,023 B", byteSize(3 << 20): "3.0 MiB",
		duration(0): "–", duration(850 * time.Microsecond): "850 µs", duration(502 * time.Millisecond): "502 ms", duration(242 * time.Second): "4 min 02 s",
		duration(49 * time.Hour): "2 d 1 h", duration(1500 * time.Millisecond): "1.5 s",
	} {
		if got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
