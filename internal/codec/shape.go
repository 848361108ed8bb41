package codec

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
)

// ErrTypeMismatch is the error for types and values that do not fit a codec, a queue or a function.
var ErrTypeMismatch = errors.New("types do not fit")

// rules describe how a format treats values of a type.
type rules struct {
	format         string // in errors
	tag            string // of fields
	dropUnexported bool   // unexported fields may be left out
	// encode and decode are the methods by which a type encodes and decodes itself, in the order in
	// which the format looks for them.
	encode, decode []method
	fields         func(in *inspector, t reflect.Type, addressable bool) ([]field, error)
	key            func(in *inspector, t reflect.Type) error
	refused        []reflect.Kind // besides channels, functions and complex numbers
	texts          bool           // keys of maps become texts, so two of them may collide
	digits         bool           // an integer in an any keeps its digits
	// callsPointer says that a value without an address, as in a map, is encoded by a method with a
	// pointer receiver or is an error. Otherwise it is encoded without that method.
	callsPointer bool
}

// A method is the name of a method and its interface.
type method struct {
	name string
	of   reflect.Type
}

// A field is a field of a struct that the format carries.
type field struct {
	name   string // in the format
	index  []int  // from the struct that is encoded
	typ    reflect.Type
	of     reflect.Type // the struct that declares it
	goName string
	addr   bool // it has an address when the format encodes it
}

// An inspector checks a type, once, for parts that a format cannot carry.
type inspector struct {
	*rules
	root reflect.Type
	// inside is set for a type found in an any. The format decodes it to maps, slices and plain
	// values, so only its encoding matters.
	inside bool

	field string // the innermost field being inspected, "" for none
	seen  map[visitKey]*node
	text  bool // it holds strings
	open  bool // it holds values that need a probe: an any, or keys that encode themselves as text
	loop  bool // it may hold a value of its own type
	// pointers is set if a part of the type has methods with pointer receivers, which need an
	// address.
	pointers bool
}

type visitKey struct {
	t    reflect.Type
	addr bool
}

// A node holds the check for values of a type.
type node struct {
	probe probe // nil: none
	done  bool
}

// inspect returns the checks for values of type t, or an error if the format cannot carry t.
func (r *rules) inspect(t reflect.Type, inside bool) (*inspector, *node, error) {
	in := &inspector{rules: r, root: t, inside: inside, seen: map[visitKey]*node{}}
	n, err := in.visit(t, !inside)
	return in, n, err
}

// refuse returns the error for the field that is being inspected, or for the type itself.
func (in *inspector) refuse(format string, args ...any) error {
	where := ""
	if in.field != "" {
		where = "field " + in.field + ": "
	}
	return fmt.Errorf("%w: type %v: %s%s", ErrTypeMismatch, in.root, where, fmt.Sprintf(format, args...))
}

// refuseField returns the error for a field of a struct.
func (in *inspector) refuseField(of reflect.Type, name, format string, args ...any) error {
	return fmt.Errorf("%w: type %v: field %s %s", ErrTypeMismatch, in.root, fieldName(of, name), fmt.Sprintf(format, args...))
}

// visit inspects a type. addr says whether its value has an address.
func (in *inspector) visit(t reflect.Type, addr bool) (*node, error) {
	at := visitKey{t, addr}
	if n := in.seen[at]; n != nil {
		in.loop = in.loop || !n.done
		return n, nil
	}
	n := new(node)
	in.seen[at] = n
	var err error
	n.probe, err = in.look(t, addr)
	n.done = true
	return n, err
}

func (in *inspector) look(t reflect.Type, addr bool) (probe, error) {
	switch t.Kind() {
	case reflect.Interface:
		if t.NumMethod() > 0 && !in.inside {
			return nil, in.refuse("%s cannot decode the interface %v: use a type, or any", in.format, t)
		}
		in.open, in.text = true, true
		return probeAny, nil
	case reflect.Pointer:
		return in.pointer(t)
	}
	own, err := in.selfEncoded(t, addr)
	own = own || in.inside && t == jsonNumber
	switch {
	case err != nil || own && (!in.inside || in.digits):
		return nil, err
	case own:
		return probeOwn, nil
	}
	switch t.Kind() {
	case reflect.String:
		in.text = true
		return nil, nil
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64, reflect.Uintptr:
		return in.integer(t)
	case reflect.Slice, reflect.Array:
		n, err := in.visit(t.Elem(), addr || t.Kind() == reflect.Slice)
		return probeElems(n), err
	case reflect.Map:
		return in.mapping(t)
	case reflect.Struct:
		return in.structure(t, addr)
	}
	return nil, in.plain(t)
}

// plain returns an error for kinds without content to encode.
func (in *inspector) plain(t reflect.Type) error {
	switch k := t.Kind(); {
	case k == reflect.Chan, k == reflect.Func, k == reflect.UnsafePointer, k == reflect.Complex64, k == reflect.Complex128:
	case slices.Contains(in.refused, k):
	default:
		return nil
	}
	return in.refuse("%s cannot encode %v: use a type of plain data, or a codec that can", in.format, t)
}

// integer returns a probe for integers inside an any if they may lose digits.
func (in *inspector) integer(t reflect.Type) (probe, error) {
	if in.inside && !in.digits {
		return probeInteger, in.plain(t)
	}
	return nil, in.plain(t)
}

const maxPointers = 64

func (in *inspector) pointer(t reflect.Type) (probe, error) {
	elem := t
	for n := 0; elem.Kind() == reflect.Pointer; n++ {
		if n == maxPointers {
			return nil, in.refuse("%v is a pointer to itself", t)
		}
		elem = elem.Elem()
	}
	n, err := in.visit(elem, true)
	return probePointer(n), err
}

func (in *inspector) mapping(t reflect.Type) (probe, error) {
	if err := in.key(in, t.Key()); err != nil {
		return nil, err
	}
	n, err := in.visit(t.Elem(), false)
	elems := probeMap(n)
	if in.texts && t.Key().Kind() != reflect.String && t.Key().Implements(textMarshaler) {
		in.open = true
		return probeKeys(elems), err
	}
	return elems, err
}

func (in *inspector) structure(t reflect.Type, addr bool) (probe, error) {
	fields, err := in.fields(in, t, addr)
	if err != nil {
		return nil, err
	}
	var parts []part
	defer func(outer string) { in.field = outer }(in.field)
	for _, f := range fields {
		in.field = f.String()
		n, err := in.visit(f.typ, f.addr)
		if err != nil {
			return nil, err
		}
		if !n.done || n.probe != nil {
			parts = append(parts, part{f.index, n})
		}
	}
	return probeParts(parts), nil
}

// unexported returns an error for a field that the format would silently drop, unless that is
// allowed or the field has no content.
func (in *inspector) unexported(of reflect.Type, f reflect.StructField) error {
	if in.dropUnexported || f.Name == "_" || f.Type.Size() == 0 {
		return nil
	}
	return in.refuseField(of, f.Name, "is unexported and %s would drop it: export it, give %s the methods %s and %s, "+
		"or allow it with workers.DropUnexported()", in.format, typeText(of), in.encode[0].name, in.decode[0].name)
}

func fieldName(of reflect.Type, name string) string { return typeText(of) + "." + name }

// typeText returns the name of a type without its package.
func typeText(t reflect.Type) string { return cmp.Or(t.Name(), t.String()) }

// selfEncoded reports whether the format encodes and decodes values of t by methods of t. These are
// then responsible for its fields.
func (in *inspector) selfEncoded(t reflect.Type, addr bool) (bool, error) { //nolint:revive // a property of the value
	enc, dec := methodOf(in.encode, t), methodOf(in.decode, t)
	if enc != nil && !addr && !t.Implements(enc.of) {
		if in.callsPointer {
			return false, in.refuse("%s of %v needs a value with an address, which an element of a map is not: use pointers to it", enc.name, t)
		}
		enc = nil
	}
	if enc == nil || dec == nil && !in.inside {
		return false, nil
	}
	in.pointers = in.pointers || !t.Implements(enc.of)
	for _, m := range []*method{enc, dec} {
		if m == nil {
			continue
		}
		if err := in.complete(t, m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// complete returns an error for a struct that has its method from an embedded field, but other
// fields too: the method does not know them.
func (in *inspector) complete(t reflect.Type, m *method) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !promoted(t, m.name) {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous && (f.Type.Implements(m.of) || reflect.PointerTo(f.Type).Implements(m.of)) {
			if err := in.complete(f.Type, m); err != nil {
				return err
			}
		} else if f.Name != "_" && f.Type.Size() > 0 && f.Tag.Get(in.tag) != "-" {
			return in.refuseField(t, f.Name, "would get lost: %s has its %s from an embedded field, which knows no other: "+
				"give the embedded field a name, or give %s methods of its own", typeText(t), m.name, typeText(t))
		}
	}
	return nil
}

func methodOf(methods []method, t reflect.Type) *method {
	for i, m := range methods {
		if t.Implements(m.of) || reflect.PointerTo(t).Implements(m.of) {
			return &methods[i]
		}
	}
	return nil
}

// promoted reports whether a struct has a method from an embedded field.
func promoted(t reflect.Type, name string) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	m, ok := t.MethodByName(name)
	if !ok {
		m, ok = reflect.PointerTo(t).MethodByName(name)
	}
	if !ok {
		return false
	}
	pc := m.Func.Pointer()
	file, _ := runtime.FuncForPC(pc).FileLine(pc)
	return file == "<autogenerated>"
}
