package cli

import (
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"
)

func TestWarningsArePlainText(t *testing.T) {
	var out strings.Builder
	log := slog.New(plainHandler{name: "x", w: &out, first: slog.LevelWarn})
	log.Info("not shown")
	log.Warn("alone")
	log.With("queue", "q").Warn("a warning", "n", 3, "err", errors.New("two\nlines"))
	want := "x: alone\nx: a warning (queue q, n 3, err two lines)\n"
	if out.String() != want {
		t.Errorf("%q, not %q", out.String(), want)
	}
}

// The flags choose the format and the level, and -v is the level info.
func TestLogFlags(t *testing.T) {
	for line, want := range map[string]string{
		"":                                       "x: careful (queue q)\n",
		"--log-level error":                      "",
		"--log-level info":                       "x: fyi\nx: careful (queue q)\n",
		"-v":                                     "level=INFO msg=fyi\nlevel=WARN msg=careful queue=q\n",
		"-v --log-level warn":                    "level=WARN msg=careful queue=q\n",
		"--log-format text":                      "level=WARN msg=careful queue=q\n",
		"--log-format json -v":                   `{"level":"INFO","msg":"fyi"}` + "\n" + `{"level":"WARN","msg":"careful","queue":"q"}` + "\n",
		"--log-format xml":                       "error: unknown --log-format",
		"--log-level loud":                       "error: unknown --log-level",
		"--log-format json --log-level error -v": "",
	} {
		var out strings.Builder
		app := &urfave.App{Name: "x", Flags: LogFlags(), Writer: &out, ErrWriter: &out, Action: func(c *urfave.Context) error {
			log := Logger(c, &out)
			log.Info("fyi")
			log.Warn("careful", "queue", "q")
			return nil
		}}
		app.OnUsageError = func(_ *urfave.Context, err error, _ bool) error { return err }
		got := ""
		if err := app.Run(append([]string{"x"}, strings.Fields(line)...)); err != nil {
			got = "error: " + err.Error()
			if !errors.As(err, new(Usage)) {
				t.Errorf("%q: %T", line, err)
			}
		} else {
			got = regexp.MustCompile(`(time=\S+ |"time":"[^"]+",)`).ReplaceAllString(out.String(), "")
		}
		if got != want && (!strings.HasPrefix(want, "error: ") || !strings.HasPrefix(got, want)) {
			t.Errorf("%q logs %q, want %q", line, got, want)
		}
	}
}
