package cli

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// Logger returns the log of a command: warnings in plain text, or with -v all records in the text
// format of slog.
func Logger(c *urfave.Context, w io.Writer) *slog.Logger {
	if c.Bool("verbose") {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(plainHandler{name: c.App.Name, w: w})
}

// A plainHandler writes warnings in the form of other messages of the command: its name, the
// message, and the attributes in parentheses.
type plainHandler struct {
	name  string
	w     io.Writer
	attrs []slog.Attr
}

func (plainHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

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
