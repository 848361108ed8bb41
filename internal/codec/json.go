package codec

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

type jsonCodec struct {
	drop bool // unexported fields may be left out
}

// Name returns "json".
func (jsonCodec) Name() string { return "json" }

// Marshal is json.Marshal without the escapes for HTML.
func (jsonCodec) Marshal(v any) ([]byte, error) {
	e := newJSONEncoder()
	return e.encode(nil, v)
}

// Unmarshal is json.Unmarshal.
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

var (
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonNumber      = reflect.TypeFor[json.Number]()

	jsonEncode = []method{{"MarshalJSON", reflect.TypeFor[json.Marshaler]()}, {"MarshalText", textMarshaler}}
	jsonDecode = []method{{"UnmarshalJSON", reflect.TypeFor[json.Unmarshaler]()}, {"UnmarshalText", textUnmarshaler}}
)

func (c jsonCodec) inspect(t reflect.Type) (*values, error) {
	r := &rules{
		format: "JSON", tag: "json", dropUnexported: c.drop, encode: jsonEncode, decode: jsonDecode,
		fields: jsonFields, key: jsonKey, texts: true,
	}
	in, n, err := r.inspect(t, false)
	if err != nil {
		return nil, err
	}
	vs := &values{rules: r, text: in.text}
	if in.open {
		vs.root = n
	}
	return vs, nil
}

// A jsonEncoder appends the output of its json.Encoder to dst.
type jsonEncoder struct {
	dst []byte
	enc *json.Encoder
}

func newJSONEncoder() *jsonEncoder {
	e := new(jsonEncoder)
	e.enc = json.NewEncoder(e)
	e.enc.SetEscapeHTML(false)
	return e
}

// Write appends p, the text of one value.
func (e *jsonEncoder) Write(p []byte) (int, error) {
	e.dst = append(e.dst, p...)
	return len(p), nil
}

func (e *jsonEncoder) encode(dst []byte, v any) ([]byte, error) {
	e.dst = dst
	err := e.enc.Encode(v)
	out := e.dst
	e.dst = nil
	if err != nil {
		return dst, err
	}
	return out[:len(out)-1], nil // without the newline
}

// A typedEncoder holds a value, so that its address can be passed to the encoder.
type typedEncoder[T any] struct {
	*jsonEncoder
	v T
}

// jsonForm returns the form of a type that has no direct form.
func jsonForm[T any](vs *values) form[T] {
	encoders := sync.Pool{New: func() any { return &typedEncoder[T]{jsonEncoder: newJSONEncoder()} }}
	return form[T]{
		append: func(dst []byte, v T) (out []byte, err error) {
			out = dst
			defer recoverError(&err)
			e := encoders.Get().(*typedEncoder[T])
			e.v = v
			out, err = e.encode(dst, &e.v)
			if err == nil && vs.text {
				err = vs.checkText(out[len(dst):], &e.v)
			}
			if err == nil && vs.root != nil {
				err = vs.probe(out[len(dst):], &e.v)
			}
			e.v = *new(T)
			encoders.Put(e)
			if err != nil {
				return dst, err
			}
			return out, nil
		},
		parser: func() parser[T] {
			s := new(jsonStream)
			if !vs.text {
				return func(item []byte, v *T) error { return s.decode(item, v) }
			}
			return func(item []byte, v *T) error {
				if err := checkUTF8(item); err != nil {
					return err
				}
				return s.decode(item, v)
			}
		},
	}
}

var errUnfinished = errors.New("unexpected end of JSON input")

// A jsonStream decodes one item after the other with one json.Decoder. The decoder reads the
// current item and a newline, never the next item, so an item that is too short or too long cannot
// shift its neighbours.
type jsonStream struct {
	dec   *json.Decoder // nil if the last one cannot be used again
	rest  []byte        // bytes of the item that the decoder has not read
	ended bool          // the decoder has read the newline
	read  int64         // bytes that the decoder has read in total
}

// Read gives the decoder the unread bytes of the current item.
func (s *jsonStream) Read(p []byte) (int, error) {
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	if n < len(p) && !s.ended {
		p[n] = '\n'
		n++
		s.ended = true
	}
	if n == 0 {
		return 0, errUnfinished
	}
	s.read += int64(n)
	return n, nil
}

func (s *jsonStream) decode(item []byte, v any) (err error) {
	if s.dec == nil {
		s.dec, s.read = json.NewDecoder(s), 0
	}
	dec, start := s.dec, s.read
	s.dec, s.rest, s.ended = nil, item, false
	defer recoverError(&err)
	if err = dec.Decode(v); err != nil && !isMismatch(err) {
		return err
	}
	junk := bytes.TrimLeft(item[dec.InputOffset()-start:], " \t\r\n")
	if len(junk) > 0 {
		return fmt.Errorf("invalid character %q after top-level value", junk[0])
	}
	s.dec = dec
	return err
}

// isMismatch reports whether err is about a well-formed value, which the decoder has read to its
// end.
func isMismatch(err error) bool {
	var mismatch *json.UnmarshalTypeError
	return errors.As(err, &mismatch)
}
