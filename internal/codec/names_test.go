package codec

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestTypeNames(t *testing.T) {
	type local struct{}
	for got, want := range map[Info]string{
		must[int](t, nil).Info():                         "int (json)",
		must[uint8](t, nil).Info():                       "int (json)",
		must[id](t, MsgPack).Info():                      "int (msgpack)",
		must[float32](t, nil).Info():                     "float (json)",
		must[bool](t, nil).Info():                        "bool (json)",
		must[name](t, nil).Info():                        "string (raw)",
		must[string](t, JSON).Info():                     "string (json)",
		must[string](t, zstdJSON).Info():                 "string (zstd+json)",
		must[blob](t, nil).Info():                        "bytes (raw)",
		must[any](t, nil).Info():                         "any (json)",
		must[order](t, nil).Info():                       "order (json)",
		must[*order](t, nil).Info():                      "order (json)",
		must[[]*order](t, nil).Info():                    "[]*order (json)",
		must[[]int](t, nil).Info():                       "[]int (json)",
		must[[]any](t, nil).Info():                       "[]any (json)",
		must[map[name][2]order](t, nil).Info():           "map[name][2]order (json)",
		must[pair[int, string]](t, nil).Info():           "pair[int,string] (json)",
		must[pair[*order, []json.Number]](t, nil).Info(): "pair[*order,[]Number] (json)",
		must[pair[local, local]](t, nil).Info():          "pair[local,local] (json)",
		must[time.Time](t, nil).Info():                   "Time (json)",
		must[Item](t, nil).Info():                        "encoded items",
	} {
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !must[Item](t, JSON).Info().Wildcard() || must[any](t, nil).Info().Wildcard() {
		t.Error("Item alone fits everything")
	}
}

func wantUnfit[T any](t *testing.T, c Codec, text string) {
	t.Helper()
	if _, err := For[T](c); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("For[%v]: got %v, want %q", reflect.TypeFor[T](), err, text)
	}
}

func TestTypesThatDoNotFit(t *testing.T) {
	wantUnfit[int](t, Raw, "`raw` cannot encode int: ")
	wantUnfit[*string](t, Raw, "`raw` cannot encode *string: ")
	wantUnfit[any](t, Raw, "`raw` cannot encode interface {}: ")
	wantUnfit[chan int](t, nil, "`json` cannot encode chan int: ")
	wantUnfit[func()](t, nil, "`json` cannot encode func(): ")
	wantUnfit[[]chan int](t, nil, "`json` cannot encode chan int: ")
	wantUnfit[map[pair[int, int]]int](t, nil, "`json` cannot encode map[codec.pair[int,int]]int: ")
	wantUnfit[struct{ F func() }](t, nil, "`json` cannot encode struct { F func() }: ")
	wantUnfit[complex128](t, nil, "`json` cannot encode complex128: ")
	wantUnfit[error](t, nil, "`json` cannot encode error: ")
	wantUnfit[uintptr](t, MsgPack, "`msgpack` cannot encode uintptr: ")
	wantUnfit[*chan int](t, MsgPack, "`msgpack` cannot encode chan int: ")
	wantUnfit[fmt.Stringer](t, MsgPack, "`msgpack` cannot encode fmt.Stringer: ")
	wantUnfit[int](t, custom{}, "has no name")
	wantUnfit[int](t, zstdRaw, "`raw` cannot encode int: ")
	wantUnfit[string](t, Zstd(custom{}, 0), "has no name")
	wantUnfit[string](t, Zstd(nil, 0), "Zstd got nil: ")
}
