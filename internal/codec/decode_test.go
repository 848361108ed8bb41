package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// wantDecoded checks the value of item and that its neighbours stay unchanged. A nil want is an
// error.
func wantDecoded[T any](t *testing.T, c Codec, good T, item string, want any) {
	t.Helper()
	typed := must[T](t, c)
	around := encode(t, typed, good)[0]
	var zero T
	got, bad := decode(typed, bytes.Clone(around), []byte(item), []byte(item), bytes.Clone(around))
	if want == nil {
		if bad[1] == nil || bad[2] == nil || len(bad) != 2 {
			t.Errorf("%v %.20q: bad is %v", typed.Info(), item, bad)
		}
		want = zero
	} else if len(bad) > 0 {
		t.Errorf("%v %.20q: bad is %v", typed.Info(), item, bad)
	}
	value, _ := want.(T)
	if !reflect.DeepEqual(got, []T{good, value, value, good}) {
		t.Errorf("%v %.20q: got %v", typed.Info(), item, got)
	}
}

func TestDecodeNumbers(t *testing.T) {
	for item, want := range map[string]any{
		"7": 7, "-7": -7, "-0": 0, " 7\n": 7, "null": 0,
		"9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64,
		"9223372036854775808": nil, "-9223372036854775809": nil, "99999999999999999999": nil,
		"": nil, " ": nil, "-": nil, "+1": nil, "01": nil, "1.5": nil, "1e3": nil, "1 2": nil, "1,2": nil,
		"1x": nil, "--1": nil, `"1"`: nil, "true": nil, "nul": nil, "NaN": nil, "[1]": nil, "\x00": nil, "1_0": nil,
	} {
		wantDecoded(t, nil, 3, item, want)
	}
	for item, want := range map[string]any{"127": int8(127), "128": nil, "-128": int8(-128), "-129": nil} {
		wantDecoded[int8](t, nil, 3, item, want)
	}
	for item, want := range map[string]any{
		"255": uint8(255), "256": nil, "-1": nil, "-0": nil, "null": uint8(0), "1.0": nil,
	} {
		wantDecoded[uint8](t, nil, 3, item, want)
	}
	wantDecoded[uint64](t, nil, 3, "18446744073709551616", nil)
	for item, want := range map[string]any{
		"1": 1.0, "-1.5e+3": -1500.0, "1E2": 100.0, "0.10": 0.1, " 2 ": 2.0, "null": 0.0, "+Inf": math.Inf(1),
		"1e400": nil, "Inf": nil, "inf": nil, "nan": nil, "0x1p4": nil, "1_0": nil, "1.": nil, ".5": nil, "01": nil,
		"1e": nil, "1e+": nil, "-": nil, "": nil, "+1": nil, "1 1": nil, `"1"`: nil, "1.5.5": nil,
	} {
		wantDecoded(t, nil, 0.5, item, want)
	}
	wantDecoded[float32](t, nil, 0.5, "1e39", nil)
	for item, want := range map[string]any{" true": true, "null": false, "True": nil, "1": nil, "true false": nil, "": nil} {
		wantDecoded(t, nil, true, item, want)
	}
}

func TestDecodeJSON(t *testing.T) {
	deep := strings.Repeat("[", 1<<16)
	for item, want := range map[string]any{
		` "a" `: "a", "1": 1.0, "false": false, "{}": map[string]any{}, "[]\r\n": []any{},
		`"` + strings.Repeat("x", 5000) + `"` + strings.Repeat(" ", 5000): strings.Repeat("x", 5000),
		"1,2": nil, "1 2": nil, `"a`: nil, `"a"b`: nil, `"a""b"`: nil, "[1": nil, "[1,": nil, "]": nil, "],[": nil,
		`{"a":`: nil, "{}{}": nil, "{}\n{}": nil, "": nil, " \n": nil, ",": nil, "\n1\n2\n": nil, "tru": nil, "-": nil,
		"\"a\nb\"": nil, "1" + strings.Repeat(" ", 5000) + "x": nil, "NaN": nil, "\xff": nil, deep: nil,
		"/*": nil, "1//": nil, "\ufeff1": nil,
	} {
		wantDecoded[any](t, nil, map[string]any{"good": "x"}, item, want)
	}
	wantDecoded[any](t, nil, "good", "null 1", nil)
	for item, want := range map[string]any{
		`{"ID":1}`: order{ID: 1}, "null": order{}, `{"other":1}`: order{}, `{"ID":"x","Note":"kept?"}`: nil,
		`{"ID":1.5} 2`: nil, `[]`: nil, `{"Next":{"ID":[]}}`: nil, `{"ID":1`: nil,
	} {
		wantDecoded(t, nil, order{ID: 3, Note: "good"}, item, want)
	}
	for item, want := range map[string]any{`"a\ud800"`: nil, `"\udc00\ud800"`: nil, `"\ud83d\ude00"`: "😀", `"\\ud800"`: `\ud800`, "\"\xff\"": nil, "1": nil, `"a" "b"`: nil} {
		wantDecoded(t, JSON, "good", item, want)
	}
}

func TestDecodeMsgPack(t *testing.T) {
	for item, want := range map[string]any{
		"\x01": int64(1), "\xa1a": "a", "\x91\x01": []any{int64(1)}, "\x81\xa1a\x01": map[string]any{"a": int64(1)},
		"": nil, "\xc1": nil, "\x01\x01": nil, "\xa2a": nil, "\xd9": nil, "\xd9\x02a": nil, "\x92\x01": nil, "\xcd\x01": nil,
		"\xdd\xff\xff\xff\xff": nil, "\xdf\xff\xff\xff\xff": nil, "\xc6\xff\xff\xff\xff": nil, "\xdd\xff": nil,
		"\xc9\xff\xff\xff\xff\x01": nil, "\xc7\x00\x63": nil, "\xd4\x63\x00": nil, "\x81\x91\x01\x01": nil,
		strings.Repeat("\x91", 1<<20): nil, strings.Repeat("\x91", 1<<20) + "\x01": nil,
	} {
		wantDecoded[any](t, MsgPack, "good", item, want)
	}
	for item, want := range map[string]any{
		"\x7f": int8(127), "\xcc\x80": nil, "\xd1\xff\x80": int8(-128), "\xd1\xff\x7f": nil, "\xc0": int8(0),
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": nil, "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00": nil, "\xa1a": nil, "\x90": nil,
	} {
		wantDecoded[int8](t, MsgPack, 3, item, want)
	}
	for item, want := range map[string]any{"\xff": nil, "\xcc\xff": uint8(255), "\xcd\x01\x00": nil} {
		wantDecoded[uint8](t, MsgPack, 3, item, want)
	}
	for item, want := range map[string]any{
		"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00": float32(1), "\x02": float32(2), "\xcc\xff": float32(255),
		"\xcb\x7f\xe0\x00\x00\x00\x00\x00\x00": nil, "\xc3": nil,
	} {
		wantDecoded[float32](t, MsgPack, 3, item, want)
	}
}

func TestManyOpenItemsAreLinear(t *testing.T) {
	many := slicesOf([]byte("[1,"+strings.Repeat("1,", 500)), 5000)
	_, bad := decode(must[any](t, nil), many...)
	if len(bad) != len(many) {
		t.Errorf("%d of %d are bad", len(bad), len(many))
	}
}

func slicesOf(item []byte, n int) [][]byte {
	items := make([][]byte, n)
	for i := range items {
		items[i] = item
	}
	return items
}

// touchy has methods that fail on demand, and only its pointer has them.
type touchy struct{ text string }

func (t *touchy) MarshalJSON() ([]byte, error) {
	switch t.text {
	case "panic":
		panic("marshal")
	case "error":
		return nil, errCustom
	}
	return json.Marshal(t.text)
}

func (t *touchy) UnmarshalJSON(data []byte) error {
	if err := json.Unmarshal(data, &t.text); err != nil {
		return err
	}
	switch t.text {
	case "panic":
		panic("unmarshal")
	case "error":
		return errCustom
	}
	return nil
}

func TestCustomMethods(t *testing.T) {
	wantRoundTrip(t, nil, touchy{"a"}, touchy{}, touchy{"b"})
	wantRoundTrip(t, nil, []touchy{{"a"}, {}}, nil)
	typed := must[touchy](t, nil)
	for _, text := range []string{"panic", "error", "panic"} {
		dst, err := typed.Append([]byte("before"), touchy{text})
		if string(dst) != "before" || err == nil {
			t.Errorf("Append = %q, %v", dst, err)
		}
	}
	for _, item := range []string{`"panic"`, `"error"`, "1", "x", `"panic" 1`} {
		wantDecoded(t, nil, touchy{"good"}, item, nil)
	}
	_, bad := decode(typed, items(`"error"`)...)
	if !errors.Is(bad[0], errCustom) {
		t.Errorf("got %v", bad)
	}
}

func TestUnencodableValues(t *testing.T) {
	typed := must[any](t, nil)
	self := map[string]any{}
	self["self"] = self
	for _, v := range []any{math.NaN(), make(chan int), func() {}, self, []any{1, math.Inf(1)}} {
		dst, err := typed.Append([]byte("before"), v)
		if string(dst) != "before" || err == nil {
			t.Errorf("Append = %q, %v", dst, err)
		}
	}
	wantRoundTrip[any](t, nil, "still", 1.0)
}

func roundTrips[T any](t *rapid.T, c Codec, values *rapid.Generator[T]) {
	typed, err := For[T](c)
	if err != nil {
		t.Fatal(err)
	}
	want := rapid.SliceOf(values).Draw(t, fmt.Sprint(typed.Info()))
	items := [][]byte{}
	for _, v := range want {
		item, err := typed.Append([]byte{}, v)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	frame := framed(items...)
	var b batch.Builder
	if typed.Fill(&b, want) && len(want) > 0 && !bytes.Equal(b.Frame(), frame) {
		t.Fatalf("all at once %q, one by one %q", b.Frame(), frame)
	}
	r := batch.Read(frame)
	got, err := typed.Decode(&r, len(want), []T{}, func(i int, _ []byte, err error) { t.Fatalf("item %d: %v", i, err) })
	if err != nil || !reflect.DeepEqual(got, append([]T{}, want...)) {
		t.Fatalf("got %#v, %v, want %#v", got, err, want)
	}
}

func TestRoundTripProperty(t *testing.T) {
	words := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	orders := rapid.Custom(func(t *rapid.T) order {
		o := order{ID: rapid.Int().Draw(t, "id"), Note: rapid.String().Draw(t, "note")}
		o.Tags = rapid.SliceOf(rapid.String()).Draw(t, "tags")
		if rapid.Bool().Draw(t, "more") {
			o.Attrs = map[string]any{"x": rapid.Float64().Draw(t, "x")}
			o.Next = &order{Note: rapid.String().Draw(t, "next")}
		}
		return o
	})
	rapid.Check(t, func(t *rapid.T) {
		roundTrips(t, Raw, words)
		roundTrips(t, zstdRaw, rapid.Map(words, func(s string) string { return strings.Repeat(s, 20) }))
		for _, c := range []Codec{JSON, MsgPack, zstdJSON} {
			roundTrips(t, c, rapid.Int64())
			roundTrips(t, c, rapid.Uint64())
			roundTrips(t, c, rapid.Int8())
			roundTrips(t, c, rapid.Float64())
			roundTrips(t, c, rapid.Float32())
			roundTrips(t, c, rapid.String())
			roundTrips(t, c, orders)
		}
	})
}

// An empty string has no bytes, and is an item all the same.
func TestRawCarriesEmptyStrings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { roundTrips(t, Raw, rapid.Just("")) })
}

// The direct path and encoding/json agree about every text.
func TestDirectMatchesJSON(t *testing.T) {
	texts := rapid.StringMatching(`[ ]?[-+]?[0-9]{0,21}(\.[0-9]{0,3})?([eE][-+]?[0-9]{0,3})?[ ,x]?`)
	rapid.Check(t, func(t *rapid.T) {
		text := texts.Draw(t, "text")
		agrees[int](t, text)
		agrees[int16](t, text)
		agrees[uint64](t, text)
		agrees[uint8](t, text)
		agrees[float64](t, text)
		agrees[float32](t, text)
	})
}

func agrees[T any](t *rapid.T, text string) {
	typed, err := For[T](JSON)
	if err != nil {
		t.Fatal(err)
	}
	var want T
	wantErr := json.Unmarshal([]byte(text), &want)
	got, bad := decode(typed, []byte(text), []byte(" 7654321")) // so that scanWord can read a whole word
	if (wantErr == nil) != (bad[0] == nil) || wantErr == nil && !reflect.DeepEqual(got[0], want) {
		t.Fatalf("%T %q: got %v, %v; want %v, %v", want, text, got[0], bad[0], want, wantErr)
	}
}
