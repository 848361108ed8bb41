package cli

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestWarningsArePlainText(t *testing.T) {
	var told strings.Builder
	log := slog.New(plainHandler{name: "x", w: &told})
	log.Info("nobody asked")
	log.Warn("alone")
	log.With("queue", "q").Warn("what is the matter", "n", 3, "err", errors.New("two\nlines"))
	want := "x: alone\nx: what is the matter (queue q, n 3, err two lines)\n"
	if told.String() != want {
		t.Errorf("%q, not %q", told.String(), want)
	}
}
