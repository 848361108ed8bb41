package cli

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestWarningsArePlainText(t *testing.T) {
	var out strings.Builder
	log := slog.New(plainHandler{name: "x", w: &out, level: slog.LevelWarn})
	log.Info("not shown")
	log.Warn("alone")
	log.With("queue", "q").Warn("a warning", "n", 3, "err", errors.New("two\nlines"))
	want := "x: alone\nx: a warning (queue q, n 3, err two lines)\n"
	if out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
}
