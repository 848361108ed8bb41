package workers_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

type hidden struct {
	Seen int
	lost int
}

func drop(_ context.Context, h hidden) (hidden, error) {
	return hidden{Seen: h.Seen, lost: h.lost}, nil
}

// A function is refused if the codec cannot carry its types. The error names the field. An option
// of the user allows unexported fields.
func TestFunctionsOfTypesThatTheCodecCannotCarry(t *testing.T) {
	t.Parallel()
	type stamped struct {
		time.Time
		Name string
	}
	for name, err := range map[string]error{
		"hidden.lost":  workers.Define("f", drop).Err(),
		"hidden.lost ": workers.Define("f", drop, workers.WithCodec(workers.MsgPack())).Err(),
		" hidden.lost": workers.DefineBatch("f", func(context.Context, []int) ([]hidden, error) { return nil, nil }).Err(),
		"stamped.Name": workers.Remote[stamped, int]("f").Err(),
		"field lost":   workers.Remote[struct{ lost int }, int]("f", workers.WithCodec(workers.Zstd(workers.JSON(), 0))).Err(),
		"Pair[":        workers.Define2("f", func(context.Context, int, hidden) (int, error) { return 0, nil }).Err(),
	} {
		if !errors.Is(err, executor.ErrTypeMismatch) || !strings.Contains(err.Error(), strings.TrimPrefix(strings.TrimSpace(name), "field ")) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"default":  workers.Define("f", drop, workers.DropUnexported()).Err(),
		"reversed": workers.Define("f", drop, workers.DropUnexported(), workers.WithCodec(workers.MsgPack())).Err(),
		"codec":    workers.Define("f", drop, workers.WithCodec(workers.JSON(workers.DropUnexported()))).Err(),
		"zstd":     workers.Define("f", drop, workers.WithCodec(workers.Zstd(workers.MsgPack(), 0)), workers.DropUnexported()).Err(),
		"time":     workers.Remote[time.Time, map[string]time.Time]("f").Err(),
	} {
		if err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := workers.Define("f", drop, workers.WithCodec(workers.JSON(nil))).Err(); err == nil {
		t.Error("a codec with a nil option is accepted")
	}
}
