package workers

import (
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// Codec is a format for items. The two ends of a queue compare its Name.
// Marshal gets a value and Unmarshal a pointer to a zero value; the data that
// Unmarshal gets is overwritten after the call. Both are called by many
// goroutines at once. A panic in either becomes the error of the item.
type Codec = codec.Codec

// CodecOption changes what JSON and MsgPack do. It is a DefineOption too.
type CodecOption interface {
	DefineOption
	applyCodec(Codec) Codec
}

// WithCodec sets the format of the inputs and of the outputs. The default, also
// for nil, is Raw for strings and []byte and JSON for all other types.
func WithCodec(c Codec) DefineOption { return withCodec{c} }

type withCodec struct{ c Codec }

func (w withCodec) applyDefine(d *runner.Definition) { d.Codec = w.c }

// DropUnexported lets unexported fields stay behind: they are zero at the other end. Without it, a
// struct with such fields is an executor.ErrTypeMismatch. As an option of Define, DefineBatch and
// Remote it holds for the codec of the function, whichever that is; for the options bridge.WithCodec
// and executor.WithCodec it goes into the codec, as in JSON(DropUnexported()).
func DropUnexported() CodecOption { return dropUnexported{} }

type dropUnexported struct{}

func (dropUnexported) applyDefine(d *runner.Definition) { d.DropUnexported = true }

func (dropUnexported) applyCodec(c Codec) Codec { return codec.DropUnexported(c, nil) }

// JSON is the format of encoding/json, without its escapes for HTML.
//
// A value comes back as it was, or it is an error: a type that JSON cannot carry is an
// executor.ErrTypeMismatch when a function is defined or a queue is scattered into or opened, and a
// value that JSON would change is a failure with the code "encode" in its place. In detail:
//
//   - Types with MarshalJSON and UnmarshalJSON, or MarshalText and UnmarshalText, are responsible for
//     themselves. Of a type that has only one of the two, its fields count.
//   - Unexported fields are refused, see DropUnexported, and so are two fields of one name, a field
//     beside an embedded one that encodes the whole struct (such as time.Time), channels, functions,
//     complex numbers, and keys of maps that are no strings, integers or texts. Fields with the tag
//     json:"-" stay behind on purpose.
//   - An any comes back as nil, bool, float64, string, []any or map[string]any: a struct as a map, a
//     time and a []byte as a string. An integer in an any that a float64 cannot hold, such as 1<<53+1,
//     is a failure. Interfaces with methods are refused, since their encoding has no type.
//   - A string or a key that is not UTF-8 is a failure; a []byte may have any bytes. Items of a program
//     that are not UTF-8 or have half of a surrogate pair cannot be decoded.
//   - A float keeps all digits, and -0 its sign. NaN and infinities are allowed as items, as the texts
//     NaN, +Inf and -Inf, and are failures inside other values.
//   - A time.Time keeps its instant and its offset from UTC, not the name of its zone and not its
//     monotonic clock: compare with Equal. A year above 9999 is a failure.
//   - A nil slice, map or []byte comes back as nil and an empty one as empty, but with the tag
//     omitempty as nil. A pointer to a nil pointer, slice, map or any comes back as a nil pointer.
func JSON(opts ...CodecOption) Codec { return apply(codec.JSON, opts) }

// Raw takes strings and []byte as they are, and no other type. A nil []byte comes back as an empty one.
func Raw() Codec { return codec.Raw }

// MsgPack is MessagePack, for all types of plain data. A value that it cannot carry is an error, as for JSON,
// with these differences:
//
//   - The tag of fields is msgpack, and the methods that count are EncodeMsgpack and DecodeMsgpack,
//     MarshalMsgpack and UnmarshalMsgpack, MarshalBinary and UnmarshalBinary, MarshalText and
//     UnmarshalText. An embedded pointer is refused.
//   - Strings and keys may have any bytes, keys any type, and floats any value.
//   - In an any, integers come back as int64 or uint64 with all digits, floats as float64, a []byte as
//     a string. A map in an any needs keys that are strings.
//   - A time.Time keeps its instant only, and comes back in the local zone.
func MsgPack(opts ...CodecOption) Codec { return apply(codec.MsgPack, opts) }

func apply(c Codec, opts []CodecOption) Codec {
	for _, opt := range opts {
		if opt == nil {
			return codec.Broken{Why: "one of the options of the codec is nil"}
		}
		c = opt.applyCodec(c)
	}
	return c
}

// Zstd wraps a codec: what c encodes to more than above bytes is compressed with
// zstd, if that makes it smaller. Its name is that of c behind "zstd+", so both
// ends of a queue have to use it; above may differ between them. A nil c is a
// mistake that is told where the codec is used.
//
// Bounds in bytes, such as MaxBytes, count compressed bytes; decoded they may be
// up to 64 times as much. An item is bounded to 64 MiB before it is compressed,
// too.
//
// Make it once and keep it: it has 0.3 MiB for each processor, up to 3 MiB once
// items are large.
func Zstd(c Codec, above int) Codec { return codec.Zstd(c, above) }
