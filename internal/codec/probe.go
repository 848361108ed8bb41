package codec

import (
	"encoding"
	"errors"
	"fmt"
	"math/bits"
	"reflect"
	"strconv"
	"sync"
)

// A probe checks the part of a value that its type leaves open, such as the content of an any.
type probe func(w walk, v reflect.Value) error

// values holds the checks for values of one type, in one format.
type values struct {
	rules *rules
	text  bool     // the type holds strings
	addr  bool     // it has methods with pointer receivers, which need an address
	root  *node    // nil if no value needs a probe
	types sync.Map // of values found in an any: a met by reflect.Type
}

// A inspected is the result of inspecting a type.
type inspected struct {
	node *node
	err  error
}

// probe checks a value, given by its address. encoded is its encoded form, or nil.
func (vs *values) probe(encoded []byte, v any) error {
	return walk{vs, encoded, 0}.at(vs.root, reflect.ValueOf(v).Elem())
}

// A walk carries the state of the probes through one value.
type walk struct {
	*values
	encoded []byte // the encoded value, if it was encoded before
	depth   int
}

// maxWalk is the deepest nesting of a value. No format decodes values that deep.
const maxWalk = 2 * maxMsgPackDepth

var errTooDeep = errors.New("it is nested too deep, or refers to itself")

// at runs the probe of one part of the value.
func (w walk) at(n *node, v reflect.Value) error {
	switch {
	case n.probe == nil:
		return nil
	case w.depth == maxWalk:
		return errTooDeep
	}
	w.depth++
	return n.probe(w, v)
}

func probeAny(w walk, v reflect.Value) error {
	if v.IsNil() {
		return nil
	}
	return w.content(v.Interface())
}

// content checks the content of an any.
func (w walk) content(x any) error {
	if w.depth == maxWalk {
		return errTooDeep
	}
	w.depth++
	switch x := x.(type) {
	case nil, bool, string, []byte, float64, float32, int8, int16, int32, uint8, uint16, uint32:
	case int:
		return w.integer(uint64(max(x, -x)), int64(x))
	case int64:
		return w.integer(uint64(max(x, -x)), x)
	case map[string]any:
		for _, e := range x {
			if err := w.content(e); err != nil {
				return err
			}
		}
	case []any:
		for _, e := range x {
			if err := w.content(e); err != nil {
				return err
			}
		}
	default:
		return w.dynamic(reflect.ValueOf(x))
	}
	return nil
}

// dynamic checks the content of an any if it has none of the usual types.
func (w walk) dynamic(v reflect.Value) error {
	known, ok := w.types.Load(v.Type())
	if !ok {
		_, n, err := w.rules.inspect(v.Type(), true)
		known, _ = w.types.LoadOrStore(v.Type(), inspected{n, err})
	}
	m := known.(inspected)
	if m.err != nil {
		return fmt.Errorf("inside a value of type any: %w", m.err)
	}
	return w.at(m.node, v)
}

// integer returns an error for an integer inside an any that would decode to another number.
func (w walk) integer(size uint64, n int64) error {
	if w.rules.digits || exact(size) {
		return nil
	}
	return lostDigits(strconv.FormatInt(n, 10))
}

// exact reports whether a float64 can hold an integer.
func exact(size uint64) bool { return bits.Len64(size)-bits.TrailingZeros64(size) <= 53 }

func lostDigits(n string) error {
	return fmt.Errorf("the integer %s inside a value of type any: JSON gives it back as a float64, which cannot hold it: "+
		"use a field of an integer type, a string, or MsgPack", n)
}

func probeInteger(w walk, v reflect.Value) error {
	if v.CanInt() {
		n := v.Int()
		return w.integer(uint64(max(n, -n)), n)
	}
	if n := v.Uint(); !exact(n) {
		return lostDigits(strconv.FormatUint(n, 10))
	}
	return nil
}

func probePointer(n *node) probe {
	if n == nil || n.done && n.probe == nil {
		return nil
	}
	return func(w walk, v reflect.Value) error {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return nil
			}
			v = v.Elem()
		}
		return w.at(n, v)
	}
}

func probeElems(n *node) probe {
	if n == nil || n.done && n.probe == nil {
		return nil
	}
	return func(w walk, v reflect.Value) error {
		for i := range v.Len() {
			if err := w.at(n, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}
}

func probeMap(n *node) probe {
	if n == nil || n.done && n.probe == nil {
		return nil
	}
	return func(w walk, v reflect.Value) error {
		if m, ok := v.Interface().(map[string]any); ok {
			return w.content(m)
		}
		for entries := v.MapRange(); entries.Next(); {
			if err := w.at(n, entries.Value()); err != nil {
				return err
			}
		}
		return nil
	}
}

// probeKeys returns a probe that returns an error for a map with two keys of the same text.
func probeKeys(elems probe) probe {
	return func(w walk, v reflect.Value) error {
		texts := make(map[string]bool, v.Len())
		for _, key := range v.MapKeys() {
			text, err := key.Interface().(encoding.TextMarshaler).MarshalText()
			if err != nil {
				return err
			}
			if texts[string(text)] {
				return fmt.Errorf("two keys of a map are %q as texts, and %s would make one of them", text, w.rules.format)
			}
			texts[string(text)] = true
		}
		if elems == nil {
			return nil
		}
		return elems(w, v)
	}
}

// A part is a field with a probe.
type part struct {
	index []int
	node  *node
}

func probeParts(parts []part) probe {
	if len(parts) == 0 {
		return nil
	}
	return func(w walk, v reflect.Value) error {
		for _, p := range parts {
			f, ok := fieldAt(v, p.index)
			if !ok {
				continue
			}
			if k := f.Kind(); (k == reflect.Map || k == reflect.Pointer || k == reflect.Interface) && f.IsNil() {
				continue
			}
			if err := w.at(p.node, f); err != nil {
				return err
			}
		}
		return nil
	}
}

// fieldAt returns a field of a struct. ok is false if it belongs to an embedded pointer that is
// nil.
func fieldAt(v reflect.Value, index []int) (f reflect.Value, ok bool) {
	for _, i := range index {
		for v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}
