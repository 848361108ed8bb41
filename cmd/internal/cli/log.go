package cli

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	urfave "github.com/urfave/cli/v2"
)

// Logger returns the log of a command: warnings in plain text, or with -v all records in the text
// format of slog.
func Logger(c *urfave.Context, w io.Writer) *slog.Logger {
	return slog.New(levelHandler{verbose: verbosity(c), plain: plainHandler{name: c.App.Name, w: w}, text: slog.NewTextHandler(w, nil)})
}

// SetVerbose changes --verbose for all logs of the command.
func SetVerbose(c *urfave.Context, verbose bool) { verbosity(c).Store(verbose) }

// verboseKey is the key of App.Metadata under which the current --verbose is.
const verboseKey = "verbose"

// verbosity returns the current --verbose of the command.
func verbosity(c *urfave.Context) *atomic.Bool {
	if known, ok := c.App.Metadata[verboseKey].(*atomic.Bool); ok {
		return known
	}
	v := new(atomic.Bool)
	v.Store(c.Bool("verbose"))
	c.App.Metadata[verboseKey] = v
	return v
}

// A levelHandler is one of two handlers, by the current --verbose.
type levelHandler struct {
	verbose     *atomic.Bool
	plain, text slog.Handler
}

func (h levelHandler) now() slog.Handler {
	if h.verbose.Load() {
		return h.text
	}
	return h.plain
}

func (h levelHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.now().Enabled(ctx, level)
}

func (h levelHandler) Handle(ctx context.Context, r slog.Record) error { return h.now().Handle(ctx, r) }

func (h levelHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.plain, h.text = h.plain.WithAttrs(attrs), h.text.WithAttrs(attrs)
	return h
}

func (h levelHandler) WithGroup(name string) slog.Handler {
	h.plain, h.text = h.plain.WithGroup(name), h.text.WithGroup(name)
	return h
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
