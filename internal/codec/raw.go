package codec

import (
	"bytes"
	"fmt"
	"reflect"
)

type rawCodec struct{}

// Name returns "raw".
func (rawCodec) Name() string { return "raw" }

// Marshal returns the bytes of v, a string or a []byte of any name.
func (c rawCodec) Marshal(v any) ([]byte, error) {
	if err := c.check(reflect.TypeOf(v)); err != nil {
		return nil, err
	}
	from := reflect.ValueOf(v)
	if from.Kind() == reflect.String {
		return []byte(from.String()), nil
	}
	return bytes.Clone(from.Bytes()), nil
}

// Unmarshal sets the string or []byte that v points to.
func (c rawCodec) Unmarshal(data []byte, v any) error {
	to, err := target(v)
	if err != nil {
		return err
	}
	if err := c.check(to.Type()); err != nil {
		return err
	}
	if to.Kind() == reflect.String {
		to.SetString(string(data))
	} else {
		to.SetBytes(append([]byte{}, data...))
	}
	return nil
}

func (c rawCodec) inspect(t reflect.Type) (*values, error) { return nil, c.check(t) }

func (c rawCodec) check(t reflect.Type) error {
	if t != nil && (t.Kind() == reflect.String || isBytes(t)) {
		return nil
	}
	return fmt.Errorf("%w: raw takes a string or []byte only, not %v: JSON and MsgPack take the rest", ErrTypeMismatch, t)
}

// directRaw returns the form for the type of v, nil if there is none.
func directRaw(v any) any {
	switch v.(type) {
	case string:
		return plain(asString, &bulk[string]{frame: framePlain[string], scan: scanStrings, faithful: true})
	case []byte:
		return bytesForm[[]byte]()
	default:
		return nil
	}
}

func bytesForm[B ~[]byte]() form[B] {
	return plain(asBytes[B], &bulk[B]{frame: framePlain[B], scan: scanBytes[B]})
}

// plain returns the form of a type whose values are their own items.
func plain[T ~string | ~[]byte](parse parser[T], many *bulk[T]) form[T] {
	many.size = func(v T) int { return len(v) }
	return form[T]{
		append: func(dst []byte, v T) ([]byte, error) { return append(dst, v...), nil },
		parser: func() parser[T] { return parse },
		bulk:   many,
	}
}

func asString(item []byte, v *string) error {
	*v = string(item)
	return nil
}

func asBytes[B ~[]byte](item []byte, v *B) error {
	*v = append(B{}, item...)
	return nil
}
