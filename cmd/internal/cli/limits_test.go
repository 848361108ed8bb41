package cli

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitsMeasureTheMachine(t *testing.T) {
	dir := t.TempDir()
	machine := func(available, load string) {
		for name, text := range map[string]string{"meminfo": "MemTotal: 9 kB\nMemAvailable:   " + available + " kB\nX: 1 kB\n", "loadavg": load + " 1.00 1.00 1/2 3\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &Limits{memory: 1 << 20, load: 2, proc: dir, log: slog.New(slog.NewTextHandler(&log, nil))}
		for _, c := range []struct{ available, load, reason string }{
			{"1024", "2.00", ""}, {"1023", "2.00", "0 MiB of memory are available, less than 1 MiB"}, {"1024", "2.01", "the load is 2.0, above 2.0"}, {"2000", "0.00", ""},
		} {
			machine(c.available, c.load)
			<-time.After(probeInterval)
			got := ""
			if reason := l.Reason(); reason != nil {
				got = reason.Error()
			}
			machine("0", "99") // no measurement within the interval
			if again := l.Reason(); got != c.reason || (again == nil) != (got == "") {
				t.Errorf("%v: %q, and %v at once again", c, got, again)
			}
		}
		if text := log.String(); strings.Count(text, "msg=paused") != 1 || strings.Count(text, `msg=continues`) != 1 {
			t.Error(text)
		}
	})
}

func TestLimitsAreParsed(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "10k": 10240, "1.5M": 3 << 19, "2G": 2 << 30, "1T": 1 << 40} {
		if got, err := parseSize(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for text, want := range map[string]float64{"": 0, "1.5": 1.5, "100%": 4, "50%": 2} {
		if got, err := parseLoad(text, 4); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "-1", "1MM", "M", "0", "NaN", "1e30"} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, text := range []string{"x", "-1", "0", "%", "NaN"} {
		if got, err := parseLoad(text, 4); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
