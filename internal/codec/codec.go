// Package codec turns values into items and items into values. An item is the encoded form of one
// value; the packages that frame and move items do not look inside.
package codec

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// A Codec is a format for items. Marshal gets a value, and Unmarshal a pointer to a zero value; the
// data that Unmarshal gets is overwritten after the call. Both must be safe for concurrent use. A
// panic in either becomes the error of the item.
type Codec interface {
	Name() string
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

// The built-in formats.
var (
	// JSON is encoding/json without its escapes for HTML. Items that are floats may also be NaN,
	// +Inf and -Inf, as these texts.
	JSON jsonCodec
	// Raw takes strings and []byte without encoding them. A nil []byte arrives as an empty one.
	Raw rawCodec
	// MsgPack is MessagePack, for every type.
	MsgPack msgPackCodec
)

// An Info describes the items of a queue: the name of the codec and the name of the type on the
// wire. Both ends of a queue must agree on it.
type Info struct{ Codec, Type string }

// String returns the type and the codec, such as "int (json)".
func (i Info) String() string {
	if i.Wildcard() {
		return "encoded items"
	}
	return i.Type + " (" + i.Codec + ")"
}

// Wildcard reports whether i matches every other Info.
func (i Info) Wildcard() bool { return i == Info{} }

// Nothing reports whether i describes values of type struct{}, as functions without results have them.
func (i Info) Nothing() bool { return i.Type == "struct {}" }

// An Item is the encoded form of a value of any type. For[Item] passes it on unchanged, and its
// Info matches every other one.
type Item []byte

// A Typed turns values of one type into items and back. Only For makes one.
type Typed[T any] struct {
	info Info
	form form[T]
}

// A form encodes and decodes values of one type.
type form[T any] struct {
	append func(dst []byte, v T) ([]byte, error)
	parser func() parser[T] // returns a new one for each batch
	bulk   *bulk[T]         // nil: only one item at a time
}

// A parser decodes one item into a zero value.
type parser[T any] func(item []byte, v *T) error

// For returns the Typed of T in the format c. A nil c selects the default of T: Raw for strings and
// []byte, JSON for all other types. It returns an error if c cannot carry T. For[Item] ignores c.
func For[T any](c Codec) (Typed[T], error) {
	t := reflect.TypeFor[T]()
	if items, ok := any(bytesForm[Item]()).(form[T]); ok {
		return Typed[T]{form: items}, nil
	}
	if c == nil {
		c = defaultFor(t)
	}
	vs, err := inspect(c, t)
	if err != nil && !errors.Is(err, ErrTypeMismatch) {
		err = fmt.Errorf("%w: %w", ErrTypeMismatch, err)
	}
	if err != nil {
		return Typed[T]{}, err
	}
	return Typed[T]{Info{c.Name(), typeName(t)}, formOf[T](c, vs)}, nil
}

// DropUnexported returns c, or the default codec for t if c is nil, changed so that it leaves out
// unexported fields. A codec of the user is returned unchanged.
func DropUnexported(c Codec, t reflect.Type) Codec {
	if c == nil {
		c = defaultFor(t)
	}
	switch c := c.(type) {
	case jsonCodec:
		return jsonCodec{drop: true}
	case msgPackCodec:
		return msgPackCodec{drop: true}
	case *zstdCodec:
		if c.inner == nil {
			return c
		}
		z := *c
		z.inner = DropUnexported(c.inner, t)
		return &z
	}
	return c
}

// inspect returns the checks for values of type t, nil for none. It returns an error if c cannot
// carry the type. A panic in a codec of the user becomes an error.
func inspect(c Codec, t reflect.Type) (vs *values, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("codec %T panicked: %s", c, batch.Text(r))
			if v := reflect.ValueOf(c); v.Kind() == reflect.Pointer && v.IsNil() {
				err = fmt.Errorf("the codec is a nil %T", c)
			}
		}
	}()
	if ours, ok := c.(interface {
		inspect(t reflect.Type) (*values, error)
	}); ok {
		if vs, err = ours.inspect(t); err != nil {
			return nil, err
		}
	}
	if c.Name() == "" {
		return nil, fmt.Errorf("codec %T has no name: let its Name return one", c)
	}
	return vs, nil
}

// Info returns the Info of the items.
func (t Typed[T]) Info() Info { return t.info }

// Append appends the item of v to dst. After an error it returns dst unchanged.
func (t Typed[T]) Append(dst []byte, v T) ([]byte, error) { return t.form.append(dst, v) }

func defaultFor(t reflect.Type) Codec {
	if t.Kind() == reflect.String || isBytes(t) {
		return Raw
	}
	return JSON
}

// formOf returns the fastest form that c has for T.
func formOf[T any](c Codec, vs *values) form[T] {
	var direct any
	switch c := c.(type) {
	case *zstdCodec:
		return zstdForm(c, formOf[T](c.inner, vs))
	case jsonCodec:
		if direct = directJSON(*new(T)); direct == nil {
			return jsonForm[T](vs)
		}
	case msgPackCodec:
		return msgPackForm[T](c, vs)
	case rawCodec:
		direct = directRaw(*new(T))
	}
	if f, ok := direct.(form[T]); ok {
		return f
	}
	return codecForm[T](c)
}

// codecForm returns the form that calls c for every item.
func codecForm[T any](c Codec) form[T] {
	return form[T]{
		append: func(dst []byte, v T) (out []byte, err error) {
			out = dst
			defer recoverError(&err)
			data, err := c.Marshal(v)
			if err != nil {
				return dst, err
			}
			return append(dst, data...), nil
		},
		parser: func() parser[T] {
			return func(item []byte, v *T) (err error) {
				defer recoverError(&err)
				return c.Unmarshal(item, v)
			}
		},
	}
}

// A Broken is a codec that was configured wrongly. Its error appears where the codec is used.
type Broken struct{ Why string }

// Name returns a name for errors.
func (Broken) Name() string { return "broken" }

// Marshal returns the error.
func (b Broken) Marshal(any) ([]byte, error) { return nil, errors.New(b.Why) }

// Unmarshal returns the error.
func (b Broken) Unmarshal([]byte, any) error { return errors.New(b.Why) }

func (b Broken) inspect(reflect.Type) (*values, error) { return nil, errors.New(b.Why) }

// recoverError, deferred, turns a panic in a codec, or in a method that it calls, into an error.
func recoverError(err *error) {
	if r := recover(); r != nil {
		*err = batch.NewCrash("the codec", r)
	}
}

var errNotPointer = errors.New("a value is decoded into a pointer that is not nil")

// target returns the value to which the pointer v points.
func target(v any) (reflect.Value, error) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return p, errNotPointer
	}
	return p.Elem(), nil
}
