package codec

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "1", "1,2", "1 2", `"a`, "[1,", `{"ID":"x"}`, `{"ID":1} 2`, "null", "NaN", "1e400", " \n", "\xdd\xff\xff\xff\xff",
		"\x81\xa1a\x91\xc0", "\xc7\x04\x01abcd", "]", "}{", `{"Next":{"Next":{}}}`, "18446744073709551616",
	} {
		f.Add([]byte(seed))
	}
	for _, item := range bombs() {
		f.Add(item)
	}
	f.Add(encode(f, must[any](f, zstdJSON), any(strings.Repeat("[1,2]", 20)))[0])
	f.Add([]byte("\x001"))
	f.Fuzz(func(t *testing.T, item []byte) {
		for _, c := range []Codec{JSON, MsgPack, zstdJSON} {
			fuzzOne(t, c, 7, item)
			fuzzOne[int8](t, c, 7, item)
			fuzzOne[uint64](t, c, 7, item)
			fuzzOne(t, c, 0.5, item)
			fuzzOne(t, c, true, item)
			fuzzOne(t, c, "good", item)
			fuzzOne(t, c, order{ID: 7, Tags: []string{"good"}}, item)
			fuzzOne[any](t, c, map[string]any{"good": []any{"x"}}, item)
			fuzzOne(t, c, map[string]int{"good": 7}, item)
		}
		fuzzOne(t, Raw, "good", item)
		fuzzOne(t, Raw, []byte("good"), item)
		fuzzOne(t, zstdRaw, strings.Repeat("good", 10), item)
		fuzzOne(t, nil, Item("good"), item)
	})
}

// fuzzOne decodes item between good ones, which have to stay good.
func fuzzOne[T any](t *testing.T, c Codec, good T, item []byte) {
	t.Helper()
	typed := must[T](t, c)
	around := encode(t, typed, good)[0]
	item = append([]byte{}, item...)
	valid := json.Valid(item)
	got, bad := decode(typed, bytes.Clone(around), item, bytes.Clone(around), nil, bytes.Clone(around))
	if len(got) != 5 {
		t.Fatalf("%v: %d values of 5 items", typed.Info(), len(got))
	}
	for _, i := range []int{0, 2, 4} {
		if bad[i] != nil || !reflect.DeepEqual(got[i], good) {
			t.Fatalf("%v: item %d is %v, %v", typed.Info(), i, got[i], bad[i])
		}
	}
	if bad[1] != nil && !reflect.ValueOf(&got[1]).Elem().IsZero() {
		t.Fatalf("%v: bad, but %v", typed.Info(), got[1])
	}
	_, isFloat := any(good).(float64)
	if c == Codec(JSON) && bad[1] == nil && !valid && !isFloat {
		t.Fatalf("%v: not JSON, but %v", typed.Info(), got[1])
	}
	if bad[1] == nil {
		if _, err := typed.Append(nil, got[1]); err != nil {
			t.Fatalf("%v: decoded to %v, which has no item: %v", typed.Info(), got[1], err)
		}
	}
}
