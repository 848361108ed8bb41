package codec

import (
	"encoding/json"
	"fmt"
	"slices"
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

func BenchmarkFillInt(b *testing.B)    { benchFill(b, 1234567) }
func BenchmarkFillFloat(b *testing.B)  { benchFill(b, 3.14159265358979) }
func BenchmarkFillString(b *testing.B) { benchFill(b, "two of the blue ones") }

func BenchmarkDecodeInt(b *testing.B)     { benchDecode(b, nil, 1234567) }
func BenchmarkDecodeFloat(b *testing.B)   { benchDecode(b, nil, 3.14159265358979) }
func BenchmarkDecodeString(b *testing.B)  { benchDecode(b, nil, "two of the blue ones") }
func BenchmarkDecodeStruct(b *testing.B)  { benchDecode(b, nil, anOrder()) }
func BenchmarkDecodeAny(b *testing.B)     { benchDecode[any](b, nil, "two of the blue ones") }
func BenchmarkDecodeMsgPack(b *testing.B) { benchDecode(b, MsgPack, anOrder()) }

// What the stream saves: one json.Unmarshal for each item.
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
