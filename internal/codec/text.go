package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// replaced is the text that encoding/json writes for bytes that are not UTF-8. It writes the rune
// U+FFFD itself unescaped.
var replaced = []byte(`\ufffd`)

// checkText returns an error for a value, given by its address, with a string that is not UTF-8.
func (vs *values) checkText(encoded []byte, v any) error {
	if bytes.IndexByte(encoded, '\\') < 0 || !bytes.Contains(encoded, replaced) {
		return nil
	}
	if name := vs.rules.notUTF8(reflect.ValueOf(v).Elem(), "the value"); name != "" {
		return fmt.Errorf("%s is not UTF-8, and JSON would replace bytes of it: use a []byte, or MsgPack", name)
	}
	return nil
}

// notUTF8 returns the name of the first string of a value that is not UTF-8, "" if there is none.
// It skips types that encode themselves.
func (r *rules) notUTF8(v reflect.Value, name string) string {
	t := v.Type()
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return r.notUTF8(v.Elem(), name)
	}
	if methodOf(r.encode, t) != nil {
		return ""
	}
	switch t.Kind() {
	case reflect.String:
		if utf8.ValidString(v.String()) {
			return ""
		}
		return name
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if found := r.notUTF8(v.Index(i), fmt.Sprintf("%s[%d]", name, i)); found != "" {
				return found
			}
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			key := fmt.Sprintf("%s[%q]", name, fmt.Sprint(entries.Key()))
			if found := r.notUTF8(entries.Key(), "the key "+key); found != "" {
				return found
			}
			if found := r.notUTF8(entries.Value(), key); found != "" {
				return found
			}
		}
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Tag.Get(r.tag) == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if found := r.notUTF8(v.Field(i), fieldName(t, f.Name)); found != "" {
				return found
			}
		}
	}
	return ""
}

var (
	errNotUTF8   = errors.New("it is not UTF-8")
	errSurrogate = errors.New("it has half of a surrogate pair, which is no character")
)

// checkUTF8 returns an error for an item whose strings encoding/json would change when it decodes
// them.
func checkUTF8(item []byte) error {
	if isSimple(item) {
		return nil
	}
	if !utf8.Valid(item) {
		return errNotUTF8
	}
	for {
		at := bytes.IndexByte(item, '\\')
		if at < 0 || at+1 == len(item) {
			return nil
		}
		if item[at+1] != 'u' {
			item = item[at+2:]
			continue
		}
		var r rune
		if r, item = escaped(item[at:]); !utf16.IsSurrogate(r) {
			continue
		}
		low, rest := escaped(item)
		if utf16.DecodeRune(r, low) == utf8.RuneError {
			return errSurrogate
		}
		item = rest
	}
}

// isSimple reports whether a text is ASCII without a backslash. It examines eight bytes at a time.
func isSimple(text []byte) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		word := binary.LittleEndian.Uint64(text)
		other := word ^ '\\'*ones // has a zero byte for a backslash
		if (word|(other-ones)&^other)&highs != 0 {
			return false
		}
	}
	for _, c := range text {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}

// escaped decodes \uXXXX at the beginning of text. It returns the rune and the rest of text.
func escaped(text []byte) (r rune, rest []byte) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, text[min(2, len(text)):]
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return 0, text[2:]
	}
	return rune(n), text[6:]
}

// longInteger is the number of digits from which a float64 may lose some.
const longInteger = 16

// hasLongInteger reports whether encoded JSON may contain an integer of longInteger digits. It
// examines one byte in sixteen.
func hasLongInteger(text []byte) bool {
	for at := longInteger - 1; at < len(text); at += longInteger {
		if !isDigit(text[at]) {
			continue
		}
		from, to := at, at
		for from > 0 && isDigit(text[from-1]) {
			from--
		}
		for to < len(text) && isDigit(text[to]) {
			to++
		}
		fraction := from > 0 && text[from-1] == '.'
		if to-from >= longInteger && !fraction {
			return true
		}
	}
	return false
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// lostInteger returns the first integer of encoded JSON that a float64 cannot hold, "" if there is
// none.
func lostInteger(text []byte) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		number, ok := token.(json.Number)
		if !ok {
			continue
		}
		n, ok := new(big.Int).SetString(number.String(), 10)
		if ok && n.Sign() != 0 && n.BitLen()-int(n.TrailingZeroBits()) > 53 {
			return number.String()
		}
	}
}

// probeOwn checks the integers that a value inside an any encodes by its own methods.
func probeOwn(w walk, v reflect.Value) error {
	if !hasLongInteger(w.encoded) {
		return nil
	}
	if v.CanAddr() {
		v = v.Addr()
	}
	text, err := JSON.Marshal(v.Interface())
	if err != nil {
		return err
	}
	if n := lostInteger(text); n != "" {
		return lostDigits(n)
	}
	return nil
}
