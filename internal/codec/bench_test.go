package codec

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dqbridge/dqbridge/internal/batch"
)

const batchSize = 1024

func allocs[T any](t *testing.T, value T) (appending, decoding float64) {
	t.Helper()
	typed := must[T](t, nil)
	buf := make([]byte, 0, 1<<16)
	appending = testing.AllocsPerRun(20, func() {
		dst := buf
		for range batchSize {
			dst, _ = typed.Append(dst, value)
		}
	})
	frame := framed(slicesOf(encode(t, typed, value)[0], batchSize)...)
	values := make([]T, 0, batchSize)
	decoding = testing.AllocsPerRun(20, func() {
		r := batch.Read(frame)
		_, _ = typed.Decode(&r, batchSize, values, func(int, []byte, error) {})
	})
	return appending, decoding
}

func wantAllocs[T any](t *testing.T, value T, most float64) {
	t.Helper()
	if appending, decoding := allocs(t, value); appending > 0 || decoding > most {
		t.Errorf("%T: %v and %v allocations in %d items", value, appending, decoding, batchSize)
	}
}

func TestNoAllocations(t *testing.T) {
	wantAllocs(t, 1234567890123, 0)
	wantAllocs[uint8](t, 200, 0)
	wantAllocs(t, -1.2345678901234567e-300, 0)
	wantAllocs(t, true, 0)
	wantAllocs(t, "forty-two", batchSize/100)
	wantAllocs(t, []byte("forty-two"), batchSize/100)
}

func benchAppend[T any](b *testing.B, c Codec, value T) {
	b.Helper()
	typed := must[T](b, c)
	buf := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		dst := buf
		for range batchSize {
			dst, _ = typed.Append(dst, value)
		}
	}
	perItem(b)
}

func benchFill[T any](b *testing.B, value T) {
	b.Helper()
	typed := must[T](b, nil)
	values := slices.Repeat([]T{value}, batchSize)
	var frame batch.Builder
	b.ReportAllocs()
	for b.Loop() {
		frame.Reset()
		typed.Fill(&frame, values)
	}
	perItem(b)
}

func benchDecode[T any](b *testing.B, c Codec, value T) {
	b.Helper()
	typed := must[T](b, c)
	frame := framed(slicesOf(encode(b, typed, value)[0], batchSize)...)
	values := make([]T, 0, batchSize)
	b.ReportAllocs()
	for b.Loop() {
		r := batch.Read(frame)
		if _, err := typed.Decode(&r, batchSize, values, func(_ int, _ []byte, err error) { b.Fatal(err) }); err != nil {
			b.Fatal(err)
		}
	}
	perItem(b)
}

func perItem(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batchSize, "ns/item")
}

func anOrder() order {
	return order{ID: 12345, Note: "two of the blue ones", Tags: []string{"new", "gift"}}
}

func BenchmarkAppendInt(b *testing.B)     { benchAppend(b, nil, 1234567) }
func BenchmarkAppendFloat(b *testing.B)   { benchAppend(b, nil, 3.14159265358979) }
func BenchmarkAppendString(b *testing.B)  { benchAppend(b, nil, "two of the blue ones") }
func BenchmarkAppendStruct(b *testing.B)  { benchAppend(b, nil, anOrder()) }
func BenchmarkAppendMsgPack(b *testing.B) { benchAppend(b, MsgPack, anOrder()) }

func BenchmarkAppendText(b *testing.B) { benchAppend(b, JSON, "two of the blue ones") }
func BenchmarkAppendAny(b *testing.B) {
	benchAppend[any](b, nil, map[string]any{"price": 12.5, "state": "paid", "tags": []any{"new", "gift"}, "n": 7})
}

func BenchmarkFillInt(b *testing.B)    { benchFill(b, 1234567) }
func BenchmarkFillFloat(b *testing.B)  { benchFill(b, 3.14159265358979) }
func BenchmarkFillString(b *testing.B) { benchFill(b, "two of the blue ones") }

func BenchmarkDecodeInt(b *testing.B)     { benchDecode(b, nil, 1234567) }
func BenchmarkDecodeFloat(b *testing.B)   { benchDecode(b, nil, 3.14159265358979) }
func BenchmarkDecodeString(b *testing.B)  { benchDecode(b, nil, "two of the blue ones") }
func BenchmarkDecodeStruct(b *testing.B)  { benchDecode(b, nil, anOrder()) }
func BenchmarkDecodeText(b *testing.B)    { benchDecode(b, JSON, "two of the blue ones") }
func BenchmarkDecodeAny(b *testing.B)     { benchDecode[any](b, nil, "two of the blue ones") }
func BenchmarkDecodeMsgPack(b *testing.B) { benchDecode(b, MsgPack, anOrder()) }

// events returns some 100 KiB of JSON, like the reply of an API.
func events() []order {
	words := strings.Fields("paid refused shipped two blue ones gift for Ann Bob express north south again late on time")
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return words[r.IntN(len(words))] }
	all := make([]order, 860)
	for i := range all {
		all[i] = order{ID: r.IntN(1 << 30), Note: word() + " " + word() + " " + word(), Tags: []string{word(), word()},
			Attrs: map[string]any{"price": float64(r.IntN(1e6)) / 100, "state": word()}}
	}
	return all
}

func benchLarge(b *testing.B, c Codec) {
	b.Helper()
	typed, value := must[json.RawMessage](b, c), json.RawMessage(encode(b, must[[]order](b, JSON), events())[0])
	item := encode(b, typed, value)[0]
	frame := framed(item)
	buf := make([]byte, 0, 4*len(value))
	values := make([]json.RawMessage, 0, 1)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(value)))
		for b.Loop() {
			_, _ = typed.Append(buf, value)
		}
		b.ReportMetric(float64(len(item)), "bytes/item")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(value)))
		for b.Loop() {
			r := batch.Read(frame)
			if _, err := typed.Decode(&r, 1, values, func(_ int, _ []byte, err error) { b.Fatal(err) }); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLarge encodes a JSON text as it is, so that the codec is most of the work, and
// compressed.
func BenchmarkLarge(b *testing.B)     { benchLarge(b, JSON) }
func BenchmarkLargeZstd(b *testing.B) { benchLarge(b, Zstd(JSON, 1<<10)) }

// BenchmarkUnmarshalStruct is the cost that a jsonStream saves: one json.Unmarshal for each item.
func BenchmarkUnmarshalStruct(b *testing.B) {
	item := encode(b, must[order](b, nil), anOrder())[0]
	b.ReportAllocs()
	for b.Loop() {
		for range batchSize {
			var o order
			if err := json.Unmarshal(item, &o); err != nil {
				b.Fatal(err)
			}
		}
	}
	perItem(b)
}

func ExampleTyped_Append() {
	ints, _ := For[int](nil)
	item, _ := ints.Append(nil, 42)
	fmt.Println(ints.Info(), string(item))
	// Output: int (json) 42
}
