package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
)

type (
	name  string
	blob  []byte
	id    int64
	small int8
	order struct {
		ID    int
		Note  string
		Tags  []string
		Attrs map[string]any
		Next  *order
	}
	pair[K, V any] struct {
		Key   K
		Value V
	}
	loop []loop
)

// must is For for types that it cannot refuse.
func must[T any](t testing.TB, c Codec) Typed[T] {
	t.Helper()
	typed, err := For[T](c)
	if err != nil {
		t.Fatal(err)
	}
	return typed
}

// encode returns one item for each value, cut out of a frame.
func encode[T any](t testing.TB, typed Typed[T], values ...T) [][]byte {
	t.Helper()
	var items [][]byte
	for _, v := range values {
		item, err := typed.Append([]byte("before"), v)
		if err != nil {
			t.Fatalf("Append(%v): %v", v, err)
		}
		item = item[len("before"):]
		items = append(items, item[:len(item):len(item)])
	}
	return items
}

// framed frames items; a nil item becomes a failure.
func framed(items ...[]byte) []byte {
	var b batch.Builder
	for _, item := range items {
		if item == nil {
			b.Failure(batch.Failure{})
			continue
		}
		b.Value(item)
	}
	return b.Take()
}

// decode decodes items and then overwrites them, as the memory of frames is.
func decode[T any](typed Typed[T], items ...[]byte) (values []T, bad map[int]error) {
	bad = map[int]error{}
	frame := framed(items...)
	r := batch.Read(frame)
	values, err := typed.Decode(&r, len(items), nil, func(i int, failed []byte, err error) {
		if (items[i] == nil) != (failed != nil) || (failed == nil) != (err != nil) {
			panic(fmt.Sprintf("item %d, %q: failed %q, %v", i, items[i], failed, err))
		}
		if err != nil {
			bad[i] = err
		}
	})
	if err != nil || len(r.Rest()) > 0 {
		panic(fmt.Sprintf("%v, and %d bytes are left", err, len(r.Rest())))
	}
	for i := range frame {
		frame[i] = 0xff
	}
	return values, bad
}

func wantRoundTrip[T any](t *testing.T, c Codec, values ...T) {
	t.Helper()
	typed := must[T](t, c)
	got, bad := decode(typed, encode(t, typed, values...)...)
	if len(bad) > 0 {
		t.Errorf("%v: %v", typed.Info(), bad)
	}
	if !reflect.DeepEqual(got, values) {
		t.Errorf("%v: got %#v, want %#v", typed.Info(), got, values)
	}
}

func items(texts ...string) [][]byte {
	var items [][]byte
	for _, text := range texts {
		items = append(items, []byte(text))
	}
	return items
}

func TestRoundTripNumbers(t *testing.T) {
	for _, c := range []Codec{nil, JSON, MsgPack, zstdJSON} {
		wantRoundTrip[int](t, c, 0, -1, math.MinInt64, math.MaxInt64)
		wantRoundTrip[int8](t, c, 0, -1, math.MinInt8, math.MaxInt8)
		wantRoundTrip[int16](t, c, 0, -1, math.MinInt16, math.MaxInt16)
		wantRoundTrip[int32](t, c, 0, -1, math.MinInt32, math.MaxInt32)
		wantRoundTrip[int64](t, c, 0, -1, math.MinInt64, math.MaxInt64)
		wantRoundTrip[uint](t, c, 0, 1, math.MaxUint64)
		wantRoundTrip[uint8](t, c, 0, 1, math.MaxUint8)
		wantRoundTrip[uint16](t, c, 0, 1, math.MaxUint16)
		wantRoundTrip[uint32](t, c, 0, 1, math.MaxUint32)
		wantRoundTrip[uint64](t, c, 0, 1, 1e19, 9999999999999999999, math.MaxUint64)
		wantRoundTrip(t, c, true, false)
		wantRoundTrip[id](t, c, math.MinInt64, 7)
		wantRoundTrip[small](t, c, -128, 127)
		wantRoundTrip(t, c, time.Hour, -1)
		wantRoundTrip[float32](t, c, 0, 0.1, -1e-7, math.SmallestNonzeroFloat32, math.MaxFloat32)
		wantRoundTrip[float64](t, c, 0, 0.1, -1e-7, 1e21, 1e20, 5e-324, -math.MaxFloat64)
	}
}

func TestRoundTripFloatsBitByBit(t *testing.T) {
	for _, c := range []Codec{JSON, MsgPack, zstdJSON} {
		values := []float64{math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), 5e-324}
		typed := must[float64](t, c)
		got, bad := decode(typed, encode(t, typed, values...)...)
		if len(bad) > 0 {
			t.Fatal(bad)
		}
		for i, v := range values {
			same := math.Float64bits(got[i]) == math.Float64bits(v)
			if !same && !(math.IsNaN(v) && math.IsNaN(got[i])) {
				t.Errorf("%v: got %v, want %v", typed.Info(), got[i], v)
			}
		}
	}
}

func TestRoundTripText(t *testing.T) {
	huge := strings.Repeat("<&\u2028é", 1<<18)
	for _, c := range []Codec{nil, JSON, Raw, MsgPack, zstdJSON, zstdRaw} {
		wantRoundTrip(t, c, "", "StopIteration", "null", `"`, "<a&b>", "\x00\n", huge)
		wantRoundTrip[name](t, c, "", "Ann")
		wantRoundTrip(t, c, []byte{}, []byte("a\xff\x00\n"), []byte(huge))
		wantRoundTrip(t, c, blob{}, blob("\xff"))
	}
	for _, c := range []Codec{nil, Raw, MsgPack, zstdRaw} {
		wantRoundTrip(t, c, "a\xff\xfe", "\xed\xa0\x80")
	}
	wantRoundTrip(t, nil, json.Number("12"))
	wantRoundTrip(t, nil, json.RawMessage(`{"a":1}`))
	wantRoundTrip[Item](t, nil, Item{}, Item("null"), Item("\xff"))
}

func TestNilBytesDecodeEmpty(t *testing.T) {
	typed := must[[]byte](t, nil)
	got, _ := decode(typed, encode(t, typed, nil, []byte{})...)
	if got[0] == nil || got[1] == nil || len(got[0])+len(got[1]) > 0 {
		t.Errorf("got %#v", got)
	}
}

func TestRoundTripStructures(t *testing.T) {
	orders := []order{
		{},
		{ID: 1, Note: "<b>", Tags: []string{}, Next: &order{ID: 2}},
		{Tags: []string{"a", ""}, Attrs: map[string]any{"a": map[string]any{"b": []any{nil, "c", 1.5, true}}}},
		{ID: 4},
	}
	for _, c := range []Codec{JSON, MsgPack, zstdJSON, Zstd(MsgPack, 0), Zstd(zstdJSON, 8)} {
		wantRoundTrip(t, c, orders...)
		wantRoundTrip[*order](t, c, &orders[1], nil, &orders[2])
		wantRoundTrip[any](t, c, nil, "StopIteration", 1.5, true, []any{}, map[string]any{"a": nil})
		wantRoundTrip[*int](t, c, nil, new(int))
		wantRoundTrip(t, c, map[string]int{}, nil, map[string]int{"a": 1})
		wantRoundTrip(t, c, [][]int{{1}, nil, {}}, nil)
		wantRoundTrip(t, c, [2]bool{true, false})
		wantRoundTrip(t, c, pair[string, []byte]{"k", []byte{0xff}})
		wantRoundTrip(t, c, loop{nil, {{}, nil}})
	}
	wantRoundTrip(t, JSON, time.Unix(1, 2).UTC())
	wantRoundTrip(t, MsgPack, time.Unix(1, 2))
	wantRoundTrip(t, JSON, json.Number("1e400"), json.Number("0"))
	wantRoundTrip(t, JSON, json.RawMessage(`{"a":[1]}`), json.RawMessage(`null`))
	wantRoundTrip(t, JSON, []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`"x"`)})
}

func TestValuesAreFresh(t *testing.T) {
	typed := must[map[string]int](t, JSON)
	stale := make([]map[string]int, 1, 4)
	stale = append(stale, map[string]int{"stale": 1})[:1]
	r := batch.Read(framed(items(`{"a":1}`, `{"a":2}`)...))
	got, err := typed.Decode(&r, 2, stale, func(_ int, _ []byte, err error) { t.Error(err) })
	if err != nil {
		t.Error(err)
	}
	want := []map[string]int{nil, {"a": 1}, {"a": 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFailedItemsAreZero(t *testing.T) {
	typed := must[any](t, nil)
	got, bad := decode(typed, []byte("1"), nil, []byte(`"b"`))
	if len(bad) > 0 || !reflect.DeepEqual(got, []any{1.0, nil, "b"}) {
		t.Errorf("got %v, bad %v", got, bad)
	}
}

func TestCodecsStandalone(t *testing.T) {
	for _, c := range []Codec{JSON, Raw, MsgPack, zstdJSON, zstdRaw} {
		data, err := c.Marshal("<a>")
		if err != nil {
			t.Fatal(err)
		}
		var got name
		if err := c.Unmarshal(data, &got); err != nil || got != "<a>" {
			t.Errorf("%s: got %q, %v", c.Name(), got, err)
		}
		if c.Unmarshal(data, nil) == nil || c.Unmarshal(data, got) == nil {
			t.Errorf("%s decodes into what is not a pointer", c.Name())
		}
	}
	if _, err := Raw.Marshal(nil); err == nil {
		t.Error("raw takes nil")
	}
	if err := Raw.Unmarshal(nil, new(int)); err == nil {
		t.Error("raw decodes into an int")
	}
}

var errCustom = errors.New("custom")

// custom is a codec of a user, with faults on demand.
type custom struct{ called string }

func (c custom) Name() string { return c.called }

func (c custom) Marshal(v any) ([]byte, error) {
	switch v {
	case "panic":
		panic("marshal")
	case "error":
		return []byte("part"), errCustom
	}
	return []byte(v.(string)), nil
}

func (c custom) Unmarshal(data []byte, v any) error {
	*v.(*string) = string(data)
	switch string(data) {
	case "panic":
		panic(errCustom)
	case "error":
		return errCustom
	}
	return nil
}

func TestCustomCodec(t *testing.T) {
	c := custom{"custom"}
	wantRoundTrip(t, c, "a", "", "b")
	wantRoundTrip(t, Zstd(c, 0), strings.Repeat("a", 1000), "", "b")
	typed := must[string](t, c)
	for text, want := range map[string]string{"panic": "the codec panicked: marshal", "error": "custom"} {
		dst, err := typed.Append([]byte("before"), text)
		if got, _ := batch.Describe(err); string(dst) != "before" || got != want {
			t.Errorf("Append(%q) = %q, %v", text, dst, err)
		}
	}
	got, bad := decode(typed, items("a", "panic", "error", "b")...)
	if !reflect.DeepEqual(got, []string{"a", "", "", "b"}) || len(bad) != 2 || !errors.Is(bad[2], errCustom) {
		t.Errorf("got %q, bad %v", got, bad)
	}
}
