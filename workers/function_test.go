package workers

import (
	"context"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/runner"
)

func plusOne(_ context.Context, x int) (int, error) { return x + 1, nil }

func plusOnes(_ context.Context, xs []int) ([]int, error) {
	for i := range xs {
		xs[i]++
	}
	return xs, nil
}

func wantText(t *testing.T, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("got %q, want %q in it", got, part)
		}
	}
}

type nameless struct{ Codec }

func (nameless) Name() string { return "" }

// broken is a codec without methods.
type broken struct{ Codec }

func TestMistakesAreToldNotThrown(t *testing.T) {
	var noCodec *broken
	for want, f := range map[string]Function{
		`function name "": use 1 to 64`:                        Define("", plusOne),
		`function name "a b": use`:                             Define("a b", plusOne),
		`function name "a{b}"`:                                 Remote[int, int]("a{b}"),
		`function name "é"`:                                    DefineBatch("é", plusOnes),
		`function name "xxxxx`:                                 Define(strings.Repeat("x", 65), plusOne),
		`function "f": Define got nil: pass the function`:      Define[int, int]("f", nil),
		`function "f": DefineBatch got nil: pass the function`: DefineBatch[int, int]("f", nil),
		`function "f": its input: types do not fit: type chan int: JSON cannot encode chan int`: Remote[chan int, int]("f"),
		`function "f": its output: types do not fit: type func(): JSON cannot encode func()`:    Remote[int, func()]("f"),
		`function "f": its input: types do not fit: raw takes a string or []byte only, not int`: Define("f", plusOne, WithCodec(Raw())),
		"has no name: let its Name return one":                                                  Define("f", plusOne, WithCodec(nameless{JSON()})),
		"the codec is a nil *workers.broken":                                                    Define("f", plusOne, WithCodec(noCodec)),
		"codec workers.broken panicked: ":                                                       Define("f", plusOne, WithCodec(broken{})),
		"make it with Define, DefineBatch or Remote":                                            Func[int, int]{},
		`function "f": BatchSize(0, 5): min must be at least 1`:                                 DefineBatch("f", plusOnes, BatchSize(0, 5)),
		`function "f": BatchSize(5, 4): min must be at least 1, and max at least min`:           Remote[int, int]("f", BatchSize(5, 4)),
		`function "f": BatchBytes(0): it must be from 1 to`:                                     DefineBatch("f", plusOnes, BatchBytes(0)),
		`function "f": BatchSize and BatchBytes are for DefineBatch`:                            Define("f", plusOne, BatchSize(1, 2)),
		`function "f": one of its options is nil`:                                               Define("f", plusOne, nil),
	} {
		err := f.Err()
		if err == nil {
			t.Fatalf("no error, want %q", want)
		}
		wantText(t, err.Error(), want)
	}
	var zero Func[int, string]
	if in, out := runner.Func[int, string](zero).Codecs(); zero.Name() != "" || !in.Info().Wildcard() || !out.Info().Wildcard() {
		t.Errorf("the zero Func is %q", zero.Name())
	}
}

func TestDefinitions(t *testing.T) {
	length := func(_ context.Context, s string) (int, error) { return len(s), nil }
	text, number := codec.Info{Codec: "raw", Type: "string"}, codec.Info{Codec: "json", Type: "int"}
	for _, c := range []struct {
		f       Func[string, int]
		in, out codec.Info
		runs    bool
	}{
		{Define("f", length), text, number, true},
		{Define("f", length, WithCodec(nil)), text, number, true},
		{Remote[string, int]("f"), text, number, false},
		{
			Remote[string, int]("f", WithCodec(MsgPack())),
			codec.Info{Codec: "msgpack", Type: "string"}, codec.Info{Codec: "msgpack", Type: "int"}, false,
		},
	} {
		f := c.f.erased()
		in, out := runner.Func[string, int](c.f).Codecs()
		if c.f.Err() != nil || c.f.Name() != "f" || f.In != c.in || f.Out != c.out || (f.New != nil) != c.runs ||
			in.Info() != c.in || out.Info() != c.out {
			t.Errorf("got %+v", f)
		}
	}
	if err := Define(strings.Repeat("x", 60)+"0._-", length).Err(); err != nil {
		t.Error(err)
	}
}

func TestEachSlotHasARunnerOfItsOwn(t *testing.T) {
	f := Define("inc", plusOne).erased()
	if f.New() == f.New() {
		t.Error("it is the same")
	}
}
