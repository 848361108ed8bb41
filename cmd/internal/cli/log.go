package cli

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// Logger makes the log of a command: warnings in plain words, and with -v all
// else too, as slog writes it.
func Logger(c *urfave.Context, w io.Writer) *slog.Logger {
	if c.Bool("verbose") {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(plain{name: c.App.Name, w: w})
}

// plain writes warnings as the command writes all else: its name, what is the
// matter, and in brackets what it is about.
type plain struct {
	name  string
	w     io.Writer
	attrs []slog.Attr
}

func (plain) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (p plain) WithAttrs(attrs []slog.Attr) slog.Handler {
	p.attrs = slices.Concat(p.attrs, attrs)
	return p
}

func (p plain) WithGroup(string) slog.Handler { return p }

func (p plain) Handle(_ context.Context, r slog.Record) error {
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
