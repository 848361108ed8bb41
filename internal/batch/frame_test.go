package batch_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// An entry is an item and whether it is a failure.
type entry struct {
	item   string
	failed bool
}

// entries draws items, many of them of sizes at which headers grow.
func entries() *rapid.Generator[entry] {
	return rapid.Custom(func(t *rapid.T) entry {
		size := rapid.OneOf(
			rapid.IntRange(0, 3),
			rapid.IntRange(0x3e, 0x42),     // 2 x size is about 0x80
			rapid.IntRange(0x1ffe, 0x2002), // 2 x size is about 0x4000
		).Draw(t, "size")
		fill := rapid.Byte().Draw(t, "fill")
		return entry{strings.Repeat(string(rune(fill&0x7f)), size), rapid.Bool().Draw(t, "failed")}
	})
}

func build(b *batch.Builder, entries []entry) []byte {
	for _, e := range entries {
		buf := append(b.Begin(), e.item...)
		if e.failed {
			b.EndFailure(buf)
		} else {
			b.End(buf)
		}
	}
	return b.Take()
}

func read(frame []byte) (entries []entry, err error) {
	r := batch.Read(frame)
	for item, failed, ok := r.Next(); ok; item, failed, ok = r.Next() {
		entries = append(entries, entry{string(item), failed})
	}
	return entries, r.Err()
}

func TestBuilderThenReaderIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(entries()).Draw(t, "entries")
		got, err := read(build(new(batch.Builder), want))
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v, %v", got, err)
		}
	})
}

// A Builder behaves like a plain list for every sequence of calls.
func TestBuilderIsAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b batch.Builder
		var want []entry
		t.Repeat(map[string]func(*rapid.T){
			"value": func(t *rapid.T) {
				e := entries().Draw(t, "entry")
				b.Value([]byte(e.item))
				want = append(want, entry{e.item, false})
			},
			"failure": func(t *rapid.T) {
				f := batch.Failure{Code: batch.CodeError, Message: rapid.String().Draw(t, "message")}
				b.Failure(f)
				want = append(want, entry{string(f.Append(nil)), true})
			},
			"abort": func(t *rapid.T) { b.Abort(append(b.Begin(), entries().Draw(t, "entry").item...)) },
			"reset": func(*rapid.T) {
				b.Reset()
				want = nil
			},
			"": func(t *rapid.T) {
				got, err := read(b.Frame())
				if err != nil || b.Len() != len(want) || b.Size() != len(b.Frame()) || !reflect.DeepEqual(got, want) {
					t.Fatalf("got %v, %v, want %v", got, err, want)
				}
			},
		})
	})
}

func TestTakeTransfersMemory(t *testing.T) {
	var b batch.Builder
	b.Value([]byte("first"))
	first := b.Take()
	b.Value([]byte("other"))
	if string(first) != "\x01\x0afirst" || string(b.Take()) != "\x01\x0aother" || b.Len()+b.Size() > 0 {
		t.Errorf("first became %q", first)
	}
}

func TestHeaderSizes(t *testing.T) {
	for size, header := range map[int]int{0: 1, 0x3f: 1, 0x40: 2, 0x1fff: 2, 0x2000: 3, 0xfffff: 3, 0x100000: 4} {
		for _, failed := range []bool{false, true} {
			want := entry{strings.Repeat("x", size), failed}
			frame := build(new(batch.Builder), []entry{want, want})
			if len(frame) != 1+2*(header+size) {
				t.Errorf("size %#x: the frame has %d bytes", size, len(frame))
			}
			if got, err := read(frame); err != nil || !reflect.DeepEqual(got, []entry{want, want}) {
				t.Errorf("size %#x: %v", size, err)
			}
		}
	}
}

func TestItemsDoNotReachIntoOthers(t *testing.T) {
	frame := build(new(batch.Builder), []entry{{"a", false}, {"b", false}})
	r := batch.Read(frame)
	item, _, _ := r.Next()
	_ = append(item, "overwritten"...)
	if got, err := read(frame); err != nil || got[1].item != "b" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFailureRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		want := batch.Failure{
			Code: text.Draw(t, "code"), Message: text.Draw(t, "message"), Stage: text.Draw(t, "stage"),
			Function: text.Draw(t, "function"), Worker: text.Draw(t, "worker"),
			Attempts: rapid.Int().Draw(t, "attempts"), Stack: text.Draw(t, "stack"),
		}
		item := want.Append([]byte("before"))
		if got := batch.ParseFailure(item[len("before"):]); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestMalformedFailureIsAFailure(t *testing.T) {
	for _, item := range []string{"", "x", "[]", `{"code":1}`, `{"code":"a"}x`} {
		got := batch.ParseFailure([]byte(item))
		if got.Code != batch.CodeError || !strings.HasPrefix(got.Message, "malformed failure: ") {
			t.Errorf("%q: got %+v", item, got)
		}
	}
}

// Any bytes in the place of a failure parse to a failure, which is no larger than they are and
// stays the same when it is encoded and parsed again.
func FuzzFailure(f *testing.F) {
	for _, seed := range []string{
		"", "{}", "null", `{"code":"error","msg":"why"}`, `{"code":1}`, `{"attempts":1e999}`, `{"attempts":` + strings.Repeat("9", 400) + "}",
		`{"msg":"\ud800","stack":"a\u0000b"}`, "{\"msg\":\"\xff\"}", strings.Repeat(`{"code":`, 20_000), `{"code":"a","code":"b"}x`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, item []byte) {
		before := bytes.Clone(item)
		got := batch.ParseFailure(item)
		if size := len(got.Code) + len(got.Message) + len(got.Stage) + len(got.Function) + len(got.Worker) + len(got.Stack); size > 3*len(item)+200 {
			t.Fatalf("a failure of %d bytes becomes one of %d", len(item), size)
		}
		if again := batch.ParseFailure(got.Append(nil)); again != got {
			t.Fatalf("%q is %+v, and written and read again %+v", item, got, again)
		}
		if !bytes.Equal(item, before) {
			t.Fatalf("%q became %q", before, item)
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, seed := range []string{
		"", "\x01", "\x02", "\x01\x02a\x03b", "\x01\x00\x01", "\x01\x80\x00", "\x01\x04a", "\x01\x80",
		"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"\x01\x80\x01" + strings.Repeat("x", 0x40),
	} {
		f.Add([]byte(seed), 1)
	}
	f.Fuzz(func(t *testing.T, frame []byte, k int) {
		got, err := read(frame)
		b := batch.Batch{N: len(got), Frame: frame}
		if good := b.Check() == nil; good != (err == nil && len(got) > 0) {
			t.Fatalf("%d items, %v, but Check: %v", len(got), err, b.Check())
		}
		_, _, _ = batch.Batch{N: k, Frame: frame, First: math.MinInt64}.Split(k - 1)
		head, tail, splitErr := batch.Batch{N: math.MaxInt, Frame: frame}.Split(k)
		if splitErr == nil && len(head.Frame)+len(tail.Frame) != len(frame)+1 {
			t.Fatalf("%d bytes were split to %d and %d", len(frame), len(head.Frame), len(tail.Frame))
		}
		if err != nil || len(got) == 0 {
			return
		}
		again := build(new(batch.Builder), got)
		if len(again) > len(frame) || isCanonical(frame) && !bytes.Equal(again, frame) {
			t.Fatalf("%q framed again is %q", frame, again)
		}
		if perRead := testing.AllocsPerRun(1, func() { _ = b.Check() }); perRead > 0 {
			t.Fatalf("Check allocated %v times", perRead)
		}
	})
}

// isCanonical reports whether every header of a good frame is as short as it
// can be.
func isCanonical(frame []byte) bool {
	for rest := frame[1:]; len(rest) > 0; {
		header, k := binary.Uvarint(rest)
		if k > 1 && rest[k-1] == 0 {
			return false
		}
		rest = rest[k+int(header>>1):]
	}
	return true
}

func BenchmarkBuild(b *testing.B) {
	var builder batch.Builder
	item := []byte("1234567")
	b.ReportAllocs()
	for b.Loop() {
		builder.Reset()
		for range 1024 {
			builder.Value(item)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	frame := build(new(batch.Builder), make([]entry, 1024))
	b.ReportAllocs()
	for b.Loop() {
		r := batch.Read(frame)
		for _, _, ok := r.Next(); ok; _, _, ok = r.Next() {
		}
	}
}

func BenchmarkCut(b *testing.B) {
	whole := batch.Batch{N: 1 << 20, Frame: build(new(batch.Builder), make([]entry, 1<<20))}
	for b.Loop() {
		if _, err := whole.Cut(1 << 8); err != nil {
			b.Fatal(err)
		}
	}
}
