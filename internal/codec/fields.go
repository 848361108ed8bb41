package codec

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// jsonFields returns the fields of a struct as encoding/json takes them: fields of embedded structs
// become fields of the outer one. It returns an error for a field that encoding/json would silently
// drop.
func jsonFields(in *inspector, t reflect.Type, addr bool) ([]field, error) {
	type level struct {
		t     reflect.Type
		addr  bool
		index []int
	}
	var all []field
	seen := map[reflect.Type]bool{}
	for queue := []level{{t, addr, nil}}; len(queue) > 0; queue = queue[1:] {
		l := queue[0]
		if seen[l.t] {
			return nil, in.refuse("%v is embedded twice in %v, and %s would drop its fields: give one of them a name", l.t, t, in.format)
		}
		seen[l.t] = true
		for i := range l.t.NumField() {
			f := l.t.Field(i)
			inner, pointer := f.Type, f.Type.Kind() == reflect.Pointer && f.Type.Name() == ""
			if pointer {
				inner = f.Type.Elem()
			}
			name, named := jsonName(f)
			if name == "-" {
				continue
			}
			if !f.IsExported() && (!f.Anonymous || inner.Kind() != reflect.Struct) {
				if err := in.unexported(l.t, f); err != nil {
					return nil, err
				}
				continue
			}
			if !f.IsExported() && pointer && !in.inside {
				return nil, in.refuseField(l.t, f.Name, "is an embedded pointer to an unexported struct, which %s cannot decode: "+
					"embed %v itself, or give the field a name", in.format, inner)
			}
			index := slices.Concat(l.index, []int{i})
			if f.Anonymous && !named && inner.Kind() == reflect.Struct {
				queue = append(queue, level{inner, l.addr || pointer, index})
				continue
			}
			all = append(all, field{name, index, f.Type, l.t, f.Name, l.addr})
		}
	}
	return all, in.distinct(all)
}

// jsonName returns the name of a field in JSON, "-" if its tag leaves it out, and whether the tag
// sets the name.
func jsonName(f reflect.StructField) (name string, named bool) {
	tag := f.Tag.Get("json")
	if tag == "-" {
		return tag, true
	}
	name, _, _ = strings.Cut(tag, ",")
	valid := func(c rune) bool {
		return unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c)
	}
	if name == "" || strings.ContainsFunc(name, func(c rune) bool { return !valid(c) }) {
		return f.Name, false
	}
	return name, true
}

// distinct returns an error for fields with the same name, since the format would drop some of
// them.
func (in *inspector) distinct(all []field) error {
	of := map[string]field{}
	for _, f := range all {
		if first, taken := of[f.name]; taken {
			return in.refuseField(f.of, f.goName, "and field %v have one name, %q, and %s would drop one of them: give one another name",
				first, f.name, in.format)
		}
		of[f.name] = f
	}
	return nil
}

func (f field) String() string { return fieldName(f.of, f.goName) }

// jsonKey checks the type of the keys of a map.
func jsonKey(in *inspector, t reflect.Type) error {
	if t.Kind() == reflect.String {
		in.text = true
		return nil
	}
	writes := t.Implements(textMarshaler)
	reads := reflect.PointerTo(t).Implements(textUnmarshaler)
	number := t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr
	if writes && (reads || in.inside) || number && writes == reads || number && in.inside {
		return nil
	}
	return in.refuse("%s cannot have %v for the keys of a map: use a string, an integer, or a type with a MarshalText and an UnmarshalText",
		in.format, t)
}

// msgPackFields returns the fields of a struct as the msgpack library takes them.
func msgPackFields(in *inspector, t reflect.Type, addr bool) ([]field, error) {
	all, err := in.flatten(t, addr, nil, nil)
	if err != nil {
		return nil, err
	}
	return all, in.distinct(all)
}

// flatten is msgPackFields for a struct embedded in the structs of open.
func (in *inspector) flatten(t reflect.Type, addr bool, index []int, open []reflect.Type) (all []field, err error) {
	if slices.Contains(open, t) {
		return nil, in.refuse("%v embeds itself, which %s cannot encode: give the field a name", t, in.format)
	}
	open = append(open, t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("msgpack"), ",")
		switch {
		case name == "-", f.Name == "_msgpack":
			continue
		case !f.IsExported() && !f.Anonymous:
			if err := in.unexported(t, f); err != nil {
				return nil, err
			}
			continue
		case name == "":
			name = f.Name
		}
		at := slices.Concat(index, []int{i})
		if f.Anonymous && !hasOption(options, "noinline") {
			inner, inlined, err := in.inline(all, f, addr, at, open, hasOption(options, "inline"))
			if err != nil {
				return nil, err
			}
			if inlined {
				all = append(all, inner...)
				continue
			}
		}
		if !f.IsExported() {
			return nil, in.refuseField(t, f.Name, "is embedded and unexported, and %s cannot set it: give it a name", in.format)
		}
		all = append(all, field{name, at, f.Type, t, f.Name, addr})
	}
	return all, nil
}

func hasOption(options, name string) bool {
	return slices.Contains(strings.Split(options, ","), name)
}

// inline returns the fields of an embedded struct if they become fields of the outer one. The
// library does so unless the struct encodes itself or one of its field names is taken.
func (in *inspector) inline( //nolint:revive // forced is a tag of the field
	taken []field, f reflect.StructField, addr bool, index []int, open []reflect.Type, forced bool,
) (all []field, inlined bool, err error) {
	inner := f.Type
	for inner.Kind() == reflect.Pointer {
		inner = inner.Elem()
	}
	if inner.Kind() != reflect.Struct || methodOf(in.encode, inner) != nil || methodOf(in.decode, inner) != nil {
		return nil, false, nil
	}
	if inner != f.Type && !in.inside { // otherwise the library keeps a goroutine for each such type
		return nil, false, in.refuseField(open[len(open)-1], f.Name, "is an embedded pointer, of which %s makes a struct if it is nil: "+
			"embed %v itself, or give the field a name", in.format, inner)
	}
	all, err = in.flatten(inner, addr, index, open)
	if err != nil || forced {
		return all, true, err
	}
	for _, f := range all {
		if slices.ContainsFunc(taken, func(other field) bool { return other.name == f.name }) {
			return nil, false, nil
		}
	}
	return all, true, nil
}
