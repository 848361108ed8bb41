// Package logging chooses the logger of an Executor, an Inspector or a Worker.
package logging

import (
	"context"
	"log/slog"
)

// Default returns the logger for a caller that has set none: slog.Default() as it is now, without
// the levels below Warn.
func Default() *slog.Logger { return slog.New(warnings{slog.Default().Handler()}) }

// OrSilent returns log, or a logger that discards everything if log is nil.
func OrSilent(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}

// warnings is a handler with a floor of slog.LevelWarn.
type warnings struct{ slog.Handler }

// Enabled reports whether the handler takes a level and the floor lets it pass.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the floor.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the floor.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
