package codec

import (
	"encoding/json"
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

func TestTypeMismatch(t *testing.T) {
	wantUnfit[int](t, Raw, "raw takes a string or []byte only, not int: ")
	wantUnfit[*string](t, Raw, "not *string: ")
	wantUnfit[any](t, Raw, "not interface {}: ")
	wantUnfit[int](t, zstdRaw, "not int: ")
	wantUnfit[int](t, custom{}, "has no name")
	wantUnfit[string](t, Zstd(custom{}, 0), "has no name")
	wantUnfit[string](t, Zstd(nil, 0), "Zstd got nil: ")
}
