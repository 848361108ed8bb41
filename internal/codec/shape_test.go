package codec

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"
)

type (
	point  struct{ x, Y int }
	nested struct{ In []map[string]*point }
	Named  struct{ A int }
	Other  struct{ A int }
	named  struct{ A int }
	tagged struct {
		X int `json:"-" msgpack:"-"`
		y int `json:"-" msgpack:"-"`
		_ int
		n struct{}
	}
	embeds struct {
		named
		B int
	}
	embedsPointer struct {
		*named
		B int
	}
	embedsExported struct {
		*Named
		B int
	}
	ambiguous struct {
		Named
		Other
	}
	shadows struct {
		Named
		A int
	}
	twice struct {
		X int `json:"Y" msgpack:"Y"`
		Y int
	}
	event struct {
		time.Time
		Name string
	}
	stamp struct{ time.Time }
	self  struct {
		*self
		A int
	}
	Self struct {
		*Self
		A int
	}
	turns      *turns
	gen[T any] struct{ V T }
	number     int
)

// text encodes itself as text, for JSON and MessagePack.
type text struct{ v int }

func (x text) MarshalText() ([]byte, error) { return fmt.Append(nil, x.v), nil }

func (x *text) UnmarshalText(data []byte) error { _, err := fmt.Sscan(string(data), &x.v); return err }

// byPointer is text with pointer receivers.
type byPointer struct{ v int }

func (x *byPointer) MarshalText() ([]byte, error) { return fmt.Append(nil, x.v), nil }

func (x *byPointer) UnmarshalText(data []byte) error {
	_, err := fmt.Sscan(string(data), &x.v)
	return err
}

// inJSON encodes itself as JSON only.
type inJSON struct{ v int }

func (x inJSON) MarshalJSON() ([]byte, error) { return json.Marshal(x.v) }

func (x *inJSON) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &x.v) }

// oneWay can only encode itself.
type oneWay struct{ v int }

func (x oneWay) MarshalText() ([]byte, error) { return fmt.Append(nil, x.v), nil }

// covered embeds a type that encodes itself and overrides its methods.
type covered struct {
	time.Time
	Name string
}

func (c covered) MarshalJSON() ([]byte, error) { return json.Marshal(c.Name) }

func (c *covered) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &c.Name) }

// half overrides only the encoding.
type half struct {
	time.Time
	Name string
}

func (h half) MarshalJSON() ([]byte, error) { return json.Marshal(h.Name) }

func wantUnfit[T any](t *testing.T, c Codec, parts ...string) {
	t.Helper()
	_, err := For[T](c)
	if err == nil {
		t.Errorf("%s carries %v", c.Name(), reflect.TypeFor[T]())
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s, %v: got %v, want %q", c.Name(), reflect.TypeFor[T](), err, part)
		}
	}
}

func wantUnfitForBoth[T any](t *testing.T, parts ...string) {
	t.Helper()
	for _, c := range []Codec{JSON, MsgPack, Zstd(JSON, 10), Zstd(MsgPack, 10)} {
		wantUnfit[T](t, c, parts...)
	}
}

func TestUnexportedFieldsAreRefused(t *testing.T) {
	if _, err := For[point](JSON); !errors.Is(err, ErrTypeMismatch) || err.Error() != "types do not fit: type codec.point: field point.x is unexported and JSON would drop it: "+
		"export it, give point the methods MarshalJSON and UnmarshalJSON, or allow it with workers.DropUnexported()" {
		t.Errorf("got %v", err)
	}
	wantUnfit[point](t, MsgPack, "give point the methods EncodeMsgpack and DecodeMsgpack")
	for _, part := range []string{"field point.x is unexported"} {
		wantUnfitForBoth[*point](t, part)
		wantUnfitForBoth[nested](t, "type codec.nested: ", part)
		wantUnfitForBoth[map[string]point](t, part)
		wantUnfitForBoth[[3]point](t, part)
		wantUnfitForBoth[gen[gen[point]]](t, part)
		wantUnfitForBoth[struct{ point }](t, part)
	}
	wantUnfitForBoth[oneWay](t, "field oneWay.v is unexported")
	wantUnfit[inJSON](t, MsgPack, "field inJSON.v is unexported")
	wantUnfit[map[string]byPointer](t, JSON, "field byPointer.v is unexported") // an element has no address
	wantUnfit[map[string]byPointer](t, MsgPack, "needs a value with an address", "use pointers")
	for _, c := range []Codec{JSON, MsgPack, Zstd(JSON, 10), nil} {
		typed := must[nested](t, DropUnexported(c, reflect.TypeFor[nested]()))
		got, bad := decode(typed, encode(t, typed, nested{[]map[string]*point{{"a": {1, 2}}}})...)
		if len(bad) > 0 || *got[0].In[0]["a"] != (point{0, 2}) {
			t.Errorf("%v: got %v, %v", c, got, bad)
		}
	}
}

func TestSelfEncodingTypes(t *testing.T) {
	for _, c := range []Codec{JSON, MsgPack} {
		wantRoundTrip(t, c, text{7})
		wantRoundTrip(t, c, byPointer{7})
		wantRoundTrip(t, c, []byPointer{{7}})
		wantRoundTrip(t, c, gen[byPointer]{byPointer{7}})
		wantRoundTrip(t, c, map[string]text{"a": {7}})
		wantRoundTrip(t, c, map[string]*byPointer{"a": {7}})
		wantRoundTrip(t, c, map[text]int{{7}: 1})
		wantRoundTrip(t, c, netip.MustParseAddr("10.0.0.1"))
		wantRoundTrip(t, c, *big.NewInt(77))
		wantRoundTrip(t, c, embeds{named{1}, 2})
		wantRoundTrip(t, c, tagged{y: 0, n: struct{}{}})
		wantRoundTrip(t, c, struct{}{})
	}
	wantRoundTrip(t, JSON, embedsExported{&Named{1}, 2}, embedsExported{nil, 3})
	wantRoundTrip(t, JSON, stamp{time.Unix(1, 2).UTC()})
	wantRoundTrip(t, MsgPack, stamp{time.Unix(1, 2)})
	wantRoundTrip(t, JSON, inJSON{7}, inJSON{0})
	wantRoundTrip(t, JSON, covered{Name: "Ann"})
	wantRoundTrip(t, MsgPack, url.URL{Scheme: "http", Host: "h", Path: "/p"})
	wantRoundTrip(t, MsgPack, map[float64][]int{0.5: {1}}, map[float64][]int{})
	wantRoundTrip(t, MsgPack, ambiguous{Named{1}, Other{2}}) // one of the two is not flattened
}

func TestDuplicateFieldNamesAreRefused(t *testing.T) {
	wantUnfit[ambiguous](t, JSON, "field Other.A and field Named.A have one name")
	wantUnfitForBoth[shadows](t, "have one name, \"A\"", "Named.A", "shadows.A")
	wantUnfitForBoth[twice](t, "field twice.Y and field twice.X have one name, \"Y\"")
	wantUnfitForBoth[event](t, "field event.Name would get lost", "from an embedded field")
	wantUnfitForBoth[half](t, "field half.Name would get lost")
	wantUnfitForBoth[struct{ *event }](t, "field event.Name would get lost")
	wantUnfitForBoth[Self](t, "Self")
	wantUnfit[embedsPointer](t, JSON, "embedded pointer to an unexported struct")
	wantUnfit[embedsPointer](t, MsgPack, "field embedsPointer.named is an embedded pointer")
	wantUnfit[embedsExported](t, MsgPack, "field embedsExported.Named is an embedded pointer")
	_ = self{self: nil}
	wantUnfitForBoth[self](t, "self")
}

func TestUnsupportedTypes(t *testing.T) {
	wantUnfitForBoth[chan int](t, "cannot encode chan int: ")
	wantUnfitForBoth[func()](t, "cannot encode func(): ")
	wantUnfitForBoth[[]chan int](t, "cannot encode chan int: ")
	wantUnfitForBoth[*chan int](t, "cannot encode chan int: ")
	wantUnfitForBoth[struct{ F func() }](t, "field struct { F func() }.F: ")
	wantUnfitForBoth[gen[map[string]func()]](t, "field gen[map[string]func()].V: ")
	wantUnfitForBoth[complex128](t, "cannot encode complex128: ")
	wantUnfitForBoth[[]complex64](t, "cannot encode complex64: ")
	wantUnfitForBoth[unsafe.Pointer](t, "cannot encode unsafe.Pointer: ")
	wantUnfitForBoth[error](t, "cannot decode the interface error: ")
	wantUnfitForBoth[gen[fmt.Stringer]](t, "cannot decode the interface fmt.Stringer: ")
	wantUnfitForBoth[turns](t, "pointer to itself")
	wantUnfitForBoth[map[string]turns](t, "pointer to itself")
	wantUnfit[uintptr](t, MsgPack, "cannot encode uintptr: ")
	wantUnfit[[]uintptr](t, MsgPack, "cannot encode uintptr: ")
	for _, text := range []string{"for the keys of a map"} {
		wantUnfit[map[pair[int, int]]int](t, JSON, text)
		wantUnfit[map[float64]int](t, JSON, text)
		wantUnfit[map[any]int](t, JSON, text)
		wantUnfit[map[oneWay]int](t, JSON, text)
		wantUnfit[map[byPointer]int](t, JSON, text)
	}
}

func wantUnencodable[T any](t *testing.T, c Codec, part string, values ...T) {
	t.Helper()
	typed := must[T](t, c)
	for _, v := range values {
		dst, err := typed.Append([]byte("before"), v)
		if string(dst) != "before" || err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v, %+v: got %q, %v, want %q", typed.Info(), v, dst, err, part)
		}
	}
}

func TestInvalidUTF8Strings(t *testing.T) {
	const bad = "a\xff"
	for _, c := range []Codec{JSON, Zstd(JSON, 0)} {
		wantUnencodable(t, c, "the value is not UTF-8", bad)
		wantUnencodable(t, c, "gen[string].V is not UTF-8", gen[string]{bad})
		wantUnencodable(t, c, "the value[1] is not UTF-8", []string{"a", bad})
		wantUnencodable(t, c, `the key the value["a\xff"] is not UTF-8`, map[string]int{bad: 1})
		wantUnencodable(t, c, "is not UTF-8", map[name]int{bad: 1, "a\xfe": 2})
		wantUnencodable(t, c, "order.Note is not UTF-8", order{Next: &order{Note: bad}})
		wantUnencodable[any](t, c, "is not UTF-8", bad, []any{bad}, map[string]any{"a": map[string]any{bad: 1}}, gen[string]{bad})
		wantUnencodable(t, c, "gen[string].V is not UTF-8", struct{ gen[string] }{gen[string]{bad}})
	}
	// The same bytes in types that keep them, and texts that only look like a replacement.
	for _, c := range []Codec{JSON, MsgPack} {
		wantRoundTrip(t, c, gen[[]byte]{[]byte(bad)})
		wantRoundTrip(t, c, gen[string]{"\ufffd"}, gen[string]{`\ufffd`}, gen[string]{"😀\u2028<&>\x00"})
		wantRoundTrip(t, c, map[string]int{"\ufffd": 1, `\ufffd`: 2})
	}
	wantRoundTrip(t, JSON, gen[json.RawMessage]{json.RawMessage(`"\ufffd"`)})
	wantRoundTrip(t, MsgPack, gen[string]{bad}, gen[string]{"a\xfe"})
	wantRoundTrip(t, MsgPack, map[string]int{bad: 1, "a\xfe": 2})
	for _, item := range []string{"{\"Note\":\"a\xff\"}", `{"Note":"\ud800"}`, `{"Note":"\ud800\u0041"}`, `{"Note":"\udc00"}`} {
		if _, err := must[order](t, JSON).One([]byte(item)); err == nil {
			t.Errorf("%q is decoded", item)
		}
	}
}

// always is a key whose text is the same for all values.
type always struct{ V int }

func (always) MarshalText() ([]byte, error) { return []byte("always"), nil }

func (*always) UnmarshalText([]byte) error { return nil }

func TestCollidingMapKeys(t *testing.T) {
	keys := map[always]int{{1}: 1, {2}: 2}
	wantUnencodable(t, JSON, "two keys of a map", keys)
	wantUnencodable(t, JSON, "two keys of a map", gen[[]map[always]int]{[]map[always]int{{}, keys}})
	wantUnencodable[any](t, JSON, "two keys of a map", keys, []any{keys})
	wantRoundTrip(t, JSON, map[text]any{{1}: "a", {2}: nil}, map[text]any{})
	wantUnencodable(t, JSON, "the integer", map[text]any{{1}: 1<<53 + 1})
}

func TestIntegersInsideAny(t *testing.T) {
	const odd = 1<<53 + 1
	part := "the integer 9007199254740993 inside a value of type any"
	wantUnencodable[any](t, JSON, part, odd, int64(odd), uint64(odd), []any{1, odd}, map[string]any{"a": map[string]any{"b": odd}},
		[]int{odd}, map[string]int64{"a": odd}, gen[number]{odd}, &gen[int]{odd}, json.Number("9007199254740993"), gen[json.Number]{"9007199254740993"},
		big.NewInt(odd), json.RawMessage("[9007199254740993]"), []any{inJSON{odd}}, &inJSON{odd})
	wantUnencodable[any](t, JSON, "-9007199254740993", int64(-odd))
	wantUnencodable(t, JSON, part, order{Attrs: map[string]any{"a": odd}}, order{Next: &order{Attrs: map[string]any{"a": []any{odd}}}})
	wantUnencodable(t, JSON, part, map[string][]any{"a": {odd}})
	for _, exact := range []any{0, -1, 1 << 53, -1 << 53, math.MinInt64, uint64(1) << 63, 1e300, 0.1, 1.0 / 3, float32(0.5), "9007199254740993",
		[]any{"x:9007199254740993,"}, json.Number("0.1"), []int{1, 2}, big.NewInt(12), time.Unix(1, 123456789)} {
		typed := must[any](t, JSON)
		if _, bad := decode(typed, encode(t, typed, exact)...); len(bad) > 0 {
			t.Errorf("%v: %v", exact, bad)
		}
	}
	// Integers with a static type keep their digits.
	wantRoundTrip(t, JSON, order{ID: odd, Attrs: map[string]any{"a": 1.5}}, order{ID: math.MinInt64})
	wantRoundTrip(t, JSON, gen[uint64]{math.MaxUint64})
	wantRoundTrip[any](t, MsgPack, uint64(odd), uint64(math.MaxUint64), []any{int64(-odd)})
}

func TestTypesInsideAny(t *testing.T) {
	for _, c := range []Codec{JSON, MsgPack, Zstd(JSON, 0)} {
		for range 2 { // the second time, the type is known
			wantUnencodable[any](t, c, "field point.x is unexported", point{1, 2}, []any{point{1, 2}}, map[string]any{"a": &[]point{{1, 2}}})
		}
		wantUnencodable(t, c, "field point.x is unexported", order{Attrs: map[string]any{"a": point{1, 2}}})
		wantUnencodable[any](t, c, "have one name", shadows{})
		typed := must[any](t, DropUnexported(c, reflect.TypeFor[any]()))
		if got, bad := decode(typed, encode[any](t, typed, map[string]any{"a": point{1, 2}})...); len(bad) > 0 || fmt.Sprint(got) != "[map[a:map[Y:2]]]" {
			t.Errorf("%s: got %v, %v", c.Name(), got, bad)
		}
		typed = must[any](t, c)
		for _, v := range []any{text{7}, oneWay{7}, gen[fmt.Stringer]{}, gen[error]{}, stamp{}} { // only the encoding has to work
			if _, err := typed.Append(nil, v); err != nil {
				t.Errorf("%s: %T: %v", c.Name(), v, err)
			}
		}
	}
}

// A value that refers to itself is an error and does not crash the process.
func TestCyclicValues(t *testing.T) {
	ring := &order{}
	ring.Next = ring
	list := loop{nil}
	list[0] = list
	dict := map[string]any{}
	dict["a"] = []any{dict}
	for _, c := range []Codec{JSON, MsgPack} {
		wantUnencodable(t, c, "", ring)
		wantUnencodable(t, c, "", list)
		wantUnencodable[any](t, c, "", dict, ring)
	}
	long := &order{ID: 1}
	for range 1000 {
		long = &order{Next: long}
	}
	wantRoundTrip(t, MsgPack, long)
	wantRoundTrip(t, JSON, long)
}
