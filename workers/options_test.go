package workers

import (
	"log/slog"
	"testing"
)

func TestTheDefaultLoggerWarns(t *testing.T) {
	for what, c := range map[string]struct {
		opts       []Option
		info, warn bool
	}{
		"no option":     {nil, false, true},
		"Logger(nil)":   {[]Option{Logger(nil)}, false, false},
		"slog.Default":  {[]Option{Logger(slog.Default())}, true, true},
		"the last wins": {[]Option{Logger(slog.Default()), Logger(nil)}, false, false},
	} {
		w, err := New("redis://127.0.0.1:1", c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		if info, warn := w.engine.Connection.Log.Enabled(t.Context(), slog.LevelInfo), w.engine.Connection.Log.Enabled(t.Context(), slog.LevelWarn); info != c.info || warn != c.warn {
			t.Errorf("%s: info %v, warn %v", what, info, warn)
		}
		if err := w.engine.Client.Close(); err != nil {
			t.Error(err)
		}
	}
}
