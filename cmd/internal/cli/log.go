package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// The values of --log-format.
const (
	formatText = "text"
	formatJSON = "json"
)

// levels are the values of --log-level.
var levels = []string{"debug", "info", "warn", "error"}

// Logger returns the log of a command: warnings in plain text, or in the format and from the level
// that the flags choose. With -v it has the text format and the level info.
func Logger(c *urfave.Context, w io.Writer) *slog.Logger {
	level := slog.LevelWarn
	if c.Bool("verbose") {
		level = slog.LevelInfo
	}
	if text := c.String("log-level"); text != "" {
		_ = level.UnmarshalText([]byte(text)) // the flag has checked it
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case c.String("log-format") == formatJSON:
		return slog.New(slog.NewJSONHandler(w, options))
	case c.String("log-format") == formatText, c.Bool("verbose"):
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(plainHandler{name: c.App.Name, w: w, level: level})
}

// Tell writes a message to stderr, or to the log if --log-format is given.
func Tell(c *urfave.Context, message string) {
	if c.String("log-format") != "" {
		Logger(c, c.App.ErrWriter).InfoContext(c.Context, message)
		return
	}
	_, _ = fmt.Fprintf(c.App.ErrWriter, "%s: %s\n", c.App.Name, message)
}

// A plainHandler writes records in the form of other messages of the command: its name, the message,
// and the attributes in parentheses.
type plainHandler struct {
	name  string
	w     io.Writer
	level slog.Level
	attrs []slog.Attr
}

func (p plainHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= p.level }

func (p plainHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	p.attrs = slices.Concat(p.attrs, attrs)
	return p
}

func (p plainHandler) WithGroup(string) slog.Handler { return p }

func (p plainHandler) Handle(_ context.Context, r slog.Record) error {
	var about []string
	add := func(a slog.Attr) bool {
		about = append(about, a.Key+" "+Printable(a.Value.String()))
		return true
	}
	for _, a := range p.attrs {
		add(a)
	}
	r.Attrs(add)
	text := p.name + ": " + r.Message
	if len(about) > 0 {
		text += " (" + strings.Join(about, ", ") + ")"
	}
	_, err := io.WriteString(p.w, text+"\n")
	return err
}
