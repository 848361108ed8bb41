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

type jsonCodec struct{}

// Name returns "json".
func (jsonCodec) Name() string { return "json" }

// Marshal is json.Marshal without the escapes for HTML.
func (jsonCodec) Marshal(v any) ([]byte, error) {
	e := newJSONEncoder()
	return e.encode(nil, v)
}

// Unmarshal is json.Unmarshal.
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// maxLevels bounds the search for what a type is made of: it may be a slice of
// itself.
const maxLevels = 8

// check asks encoding/json about t and about the types of its elements.
func (c jsonCodec) check(t reflect.Type) error {
	for range maxLevels {
		var unsupported *json.UnsupportedTypeError
		if isOpaque(t) && !writesItself(t) || errors.As(tryJSON(t), &unsupported) {
			return unfit(c, t, "use a type of plain data, or a codec that can")
		}
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			if writesItself(t) {
				return nil
			}
			t = t.Elem()
		default:
			return nil
		}
	}
	return nil
}

func tryJSON(t reflect.Type) (err error) {
	defer catch(&err)
	_, err = JSON.Marshal(reflect.Zero(t).Interface())
	return err
}

func writesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// A jsonEncoder appends to dst what its encoder writes.
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

// jsonForm is the form of every type that has no direct one.
func jsonForm[T any]() form[T] {
	encoders := sync.Pool{New: func() any { return newJSONEncoder() }}
	return form[T]{
		append: func(dst []byte, v T) (out []byte, err error) {
			out = dst
			defer catch(&err)
			e := encoders.Get().(*jsonEncoder)
			out, err = e.encode(dst, &v)
			encoders.Put(e)
			return out, err
		},
		parser: func() parser[T] {
			s := new(jsonStream)
			return func(item []byte, v *T) error { return s.decode(item, v) }
		},
	}
}

var errUnfinished = errors.New("unexpected end of JSON input")

// A jsonStream decodes one item after the other with one json.Decoder. The
// decoder reads from it the item at hand and a newline, never the next item:
// one that is cut short or has too much cannot shift its neighbours.
type jsonStream struct {
	dec   *json.Decoder // nil where the one before is of no use
	rest  []byte        // what the decoder has not read of the item
	ended bool          // the newline has been read
	read  int64         // by the decoder in total
}

// Read gives the decoder what is left of the item at hand.
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
	defer catch(&err)
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

// isMismatch reports whether err is about a value that is well formed, which
// the decoder has read to its end.
func isMismatch(err error) bool {
	var mismatch *json.UnmarshalTypeError
	return errors.As(err, &mismatch)
}
