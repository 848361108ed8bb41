package logging

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// capture makes slog.Default write to a buffer until the test ends.
func capture(t *testing.T, level slog.Level) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
	return &out
}

func TestDefaultDropsRecordsBelowWarn(t *testing.T) {
	out := capture(t, slog.LevelDebug)
	for _, log := range []*slog.Logger{Default(), Default().With("a", 1), Default().WithGroup("g")} {
		out.Reset()
		log.Debug("low")
		log.Info("low")
		log.Warn("one", "k", 2)
		log.Error("two")
		if text := out.String(); strings.Contains(text, "low") || !strings.Contains(text, "one") || !strings.Contains(text, "two") {
			t.Errorf("logged %q", text)
		}
	}
	if text := out.String(); !strings.Contains(text, "g.k=2") {
		t.Errorf("the group is lost: %q", text)
	}
}

func TestDefaultKeepsAHigherLevel(t *testing.T) {
	out := capture(t, slog.LevelError)
	Default().Warn("one")
	if out.Len() > 0 {
		t.Errorf("logged %q", out)
	}
}

func TestOrSilent(t *testing.T) {
	out := capture(t, slog.LevelDebug)
	OrSilent(nil).Error("lost")
	OrSilent(slog.Default()).Info("kept")
	if text := out.String(); strings.Contains(text, "lost") || !strings.Contains(text, "kept") {
		t.Errorf("logged %q", text)
	}
}
