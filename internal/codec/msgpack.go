package codec

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"

	"github.com/vmihailenco/msgpack/v5"
)

type msgPackCodec struct {
	drop bool // unexported fields may be left out
}

// Name returns "msgpack".
func (msgPackCodec) Name() string { return "msgpack" }

// Marshal is msgpack.Marshal with integers in their shortest form.
func (msgPackCodec) Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := msgpack.GetEncoder()
	enc.Reset(&buf)
	enc.UseCompactInts(true)
	err := enc.Encode(v)
	msgpack.PutEncoder(enc)
	return buf.Bytes(), err
}

// Unmarshal decodes data, which must be exactly one value. Numbers in an interface become int64,
// uint64 or float64.
func (msgPackCodec) Unmarshal(data []byte, v any) error {
	to, err := target(v)
	if err != nil {
		return err
	}
	if err := checkMsgPack(data); err != nil {
		return err
	}
	dec := msgpack.GetDecoder() // not put back after a panic
	dec.Reset(bytes.NewReader(data))
	if isPlainNumber(to.Type()) {
		err = decodeNumber(dec, to)
	} else {
		dec.UseLooseInterfaceDecoding(true)
		err = dec.Decode(v)
	}
	msgpack.PutDecoder(dec)
	return err
}

var (
	msgPackEncode = []method{
		{"EncodeMsgpack", reflect.TypeFor[msgpack.CustomEncoder]()}, {"MarshalMsgpack", reflect.TypeFor[msgpack.Marshaler]()},
		{"MarshalBinary", reflect.TypeFor[encoding.BinaryMarshaler]()}, {"MarshalText", textMarshaler},
	}
	msgPackDecode = []method{
		{"DecodeMsgpack", reflect.TypeFor[msgpack.CustomDecoder]()}, {"UnmarshalMsgpack", reflect.TypeFor[msgpack.Unmarshaler]()},
		{"UnmarshalBinary", reflect.TypeFor[encoding.BinaryUnmarshaler]()}, {"UnmarshalText", textUnmarshaler},
	}
)

func (c msgPackCodec) inspect(t reflect.Type) (*values, error) {
	r := &rules{
		format: "MessagePack", tag: "msgpack", dropUnexported: c.drop, encode: msgPackEncode, decode: msgPackDecode, fields: msgPackFields,
		key:     func(in *inspector, t reflect.Type) error { _, err := in.visit(t, false); return err },
		refused: []reflect.Kind{reflect.Uintptr}, digits: true, callsPointer: true,
	}
	in, n, err := r.inspect(t, false)
	if err != nil {
		return nil, err
	}
	vs := &values{rules: r}
	if in.open || in.loop {
		vs.root = n
	}
	vs.addr = in.pointers
	return vs, nil
}

// msgPackForm checks values before it encodes them: the library would follow a value that refers to
// itself until the stack overflows.
func msgPackForm[T any](c msgPackCodec, vs *values) form[T] {
	f := codecForm[T](c)
	if vs.root == nil && !vs.addr {
		return f
	}
	room := sync.Pool{New: func() any { return new(T) }} // for values whose address is passed on
	f.append = func(dst []byte, v T) (out []byte, err error) {
		out = dst
		defer recoverError(&err)
		at := room.Get().(*T)
		*at = v
		if vs.root != nil {
			err = vs.probe(nil, at)
		}
		var data []byte
		if err == nil {
			data, err = c.Marshal(at)
		}
		*at = *new(T)
		room.Put(at)
		if err != nil {
			return dst, err
		}
		return append(dst, data...), nil
	}
	return f
}

func isPlainNumber(t reflect.Type) bool {
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 && reflect.PointerTo(t).NumMethod() == 0
}

// decodeNumber decodes a number of any size and returns an error if it does not fit. The library
// would store the truncated number.
func decodeNumber(dec *msgpack.Decoder, to reflect.Value) error {
	n, err := dec.DecodeInterface()
	if err != nil || n == nil {
		return err
	}
	from, fits := reflect.ValueOf(n), false
	switch {
	case !from.CanInt() && !from.CanUint() && !from.CanFloat():
		return fmt.Errorf("%v instead of %v", from.Type(), to.Type())
	case to.CanInt() && from.CanInt():
		fits = !to.OverflowInt(from.Int())
	case to.CanInt() && from.CanUint():
		fits = from.Uint() <= math.MaxInt64 && !to.OverflowInt(int64(from.Uint()))
	case to.CanUint() && from.CanInt():
		fits = from.Int() >= 0 && !to.OverflowUint(uint64(from.Int()))
	case to.CanUint() && from.CanUint():
		fits = !to.OverflowUint(from.Uint())
	case to.CanFloat() && from.CanFloat():
		fits = !to.OverflowFloat(from.Float())
	case to.CanFloat():
		fits = true
	}
	if !fits {
		return fmt.Errorf("%v (%v) does not fit into %v", from, from.Type(), to.Type())
	}
	to.Set(from.Convert(to.Type()))
	return nil
}

var errMsgPackShort = errors.New("unexpected end of MessagePack input")

const (
	maxMsgPackDepth = 10000   // the limit of encoding/json
	maxMsgPackExt   = 1 << 16 // bytes of an extension, whose content is not checked
)

// checkMsgPack checks that data is exactly one complete value and not nested too deep. The library
// would allocate any announced length, and recurse to any depth.
func checkMsgPack(data []byte) error {
	open := make([]uint64, 1, 32) // how many values each level still lacks
	open[0] = 1
	for len(open) > 0 {
		level := len(open) - 1
		if open[level] == 0 {
			open = open[:level]
			continue
		}
		open[level]--
		size, values, err := msgPackHead(data)
		if err != nil {
			return err
		}
		if size > uint64(len(data)) || values > uint64(len(data))-size {
			return errMsgPackShort
		}
		if data = data[size:]; values > 0 {
			open = append(open, values)
		}
		if len(open) > maxMsgPackDepth {
			return errors.New("MessagePack is nested too deep")
		}
	}
	if len(data) > 0 {
		return fmt.Errorf("%d bytes after the MessagePack value", len(data))
	}
	return nil
}

// msgPackHead returns the number of bytes of the first value's head, and the number of values
// inside it that follow.
func msgPackHead(data []byte) (size, values uint64, err error) {
	if len(data) == 0 {
		return 0, 0, errMsgPackShort
	}
	length := func(width int) (n uint64) {
		for _, b := range data[1:min(1+width, len(data))] {
			n = n<<8 | uint64(b)
		}
		return n
	}
	switch c := data[0]; {
	case c < 0x80, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3: // small int, nil, bool
		return 1, 0, nil
	case c < 0x90: // small map
		return 1, 2 * uint64(c&0x0f), nil
	case c < 0xa0: // small array
		return 1, uint64(c & 0x0f), nil
	case c < 0xc0: // small string
		return 1 + uint64(c&0x1f), 0, nil
	case c == 0xc1:
		return 0, 0, errors.New("byte c1 is not MessagePack")
	case c <= 0xc6: // binary
		width := 1 << (c - 0xc4)
		return 1 + uint64(width) + length(width), 0, nil
	case c <= 0xc9: // extension
		width := 1 << (c - 0xc7)
		if length(width) > maxMsgPackExt {
			return 0, 0, errors.New("MessagePack has too large an extension")
		}
		return 2 + uint64(width) + length(width), 0, nil
	case c <= 0xcb: // float
		return 1 + 4<<(c-0xca), 0, nil
	case c <= 0xcf: // unsigned int
		return 1 + 1<<(c-0xcc), 0, nil
	case c <= 0xd3: // int
		return 1 + 1<<(c-0xd0), 0, nil
	case c <= 0xd8: // extension of a fixed size
		return 2 + 1<<(c-0xd4), 0, nil
	case c <= 0xdb: // string
		width := 1 << (c - 0xd9)
		return 1 + uint64(width) + length(width), 0, nil
	case c <= 0xdd: // array
		width := 2 << (c - 0xdc)
		return 1 + uint64(width), length(width), nil
	default: // map
		width := 2 << (c - 0xde)
		return 1 + uint64(width), 2 * length(width), nil
	}
}
