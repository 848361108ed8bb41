package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	urfave "github.com/urfave/cli/v2"
)

// The values of --log-format.
const (
	formatText = "text"
	formatJSON = "json"
)

// levels are the values of --log-level.
var levels = []string{"debug", "info", "warn", "error"}

// A Verbosity is the values of --verbose and --log-level.
type Verbosity struct {
	Verbose bool
	Level   string // "" if it is not given
}

// VerbosityOf returns the flags of the command line and of its configuration file.
func VerbosityOf(c *urfave.Context) Verbosity {
	return Verbosity{Verbose: c.Bool("verbose"), Level: c.String("log-level")}
}

// level returns the first level that is logged.
func (v Verbosity) level() (level slog.Level) {
	switch {
	case v.Level != "":
		_ = level.UnmarshalText([]byte(v.Level)) // the flag has checked it
		return level
	case v.Verbose:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// A logState is the current Verbosity of a command. Its methods are safe for concurrent use.
type logState struct {
	verbose atomic.Bool
	first   slog.LevelVar
}

func (l *logState) set(v Verbosity) {
	l.verbose.Store(v.Verbose)
	l.first.Set(v.level())
}

// logKey is the key of App.Metadata that has the logState.
const logKey = "log"

func logStateOf(c *urfave.Context) *logState {
	if known, ok := c.App.Metadata[logKey].(*logState); ok {
		return known
	}
	l := new(logState)
	l.set(VerbosityOf(c))
	c.App.Metadata[logKey] = l
	return l
}

// SetVerbosity changes the verbosity of all logs of the command.
func SetVerbosity(c *urfave.Context, v Verbosity) { logStateOf(c).set(v) }

// Logger returns the log of a command: warnings in plain text, or in the format and from the level
// that the flags choose. With -v it has the text format and the level info.
func Logger(c *urfave.Context, w io.Writer) *slog.Logger {
	state := logStateOf(c)
	options := &slog.HandlerOptions{Level: &state.first}
	switch c.String("log-format") {
	case formatJSON:
		return slog.New(slog.NewJSONHandler(w, options))
	case formatText:
		return slog.New(slog.NewTextHandler(w, options))
	}
	plain := plainHandler{name: c.App.Name, w: w, first: &state.first}
	return slog.New(verboseHandler{verbose: &state.verbose, plain: plain, text: slog.NewTextHandler(w, options)})
}

// A verboseHandler is one of two handlers, by the current --verbose.
type verboseHandler struct {
	verbose     *atomic.Bool
	plain, text slog.Handler
}

func (h verboseHandler) now() slog.Handler {
	if h.verbose.Load() {
		return h.text
	}
	return h.plain
}

func (h verboseHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.now().Enabled(ctx, level)
}

func (h verboseHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.now().Handle(ctx, r)
}

func (h verboseHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.plain, h.text = h.plain.WithAttrs(attrs), h.text.WithAttrs(attrs)
	return h
}

func (h verboseHandler) WithGroup(name string) slog.Handler {
	h.plain, h.text = h.plain.WithGroup(name), h.text.WithGroup(name)
	return h
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
	first slog.Leveler
	attrs []slog.Attr
}

func (p plainHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= p.first.Level()
}

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
