package codec

import (
	"encoding/json"
	"math"
	"strconv"
)

// directJSON returns the form for the type of v, nil if there is none. The form handles the usual
// texts without reflection. It leaves all other texts, and their errors, to encoding/json.
func directJSON(v any) any {
	switch v.(type) {
	case int:
		return integers(appendInt[int], parseInt[int], frameInts[int], scanInts[int])
	case int8:
		return integers(appendInt[int8], parseInt[int8], frameInts[int8], scanInts[int8])
	case int16:
		return integers(appendInt[int16], parseInt[int16], frameInts[int16], scanInts[int16])
	case int32:
		return integers(appendInt[int32], parseInt[int32], frameInts[int32], scanInts[int32])
	case int64:
		return integers(appendInt[int64], parseInt[int64], frameInts[int64], scanInts[int64])
	case uint:
		return integers(appendUint[uint], parseUint[uint], frameUints[uint], scanUints[uint])
	case uint8:
		return integers(appendUint[uint8], parseUint[uint8], frameUints[uint8], scanUints[uint8])
	case uint16:
		return integers(appendUint[uint16], parseUint[uint16], frameUints[uint16], scanUints[uint16])
	case uint32:
		return integers(appendUint[uint32], parseUint[uint32], frameUints[uint32], scanUints[uint32])
	case uint64:
		return integers(appendUint[uint64], parseUint[uint64], frameUints[uint64], scanUints[uint64])
	case float32:
		return numbers(appendFloat[float32](32), parseFloat[float32](32))
	case float64:
		return numbers(appendFloat[float64](64), parseFloat[float64](64))
	case bool:
		return numbers(strconv.AppendBool, parseBool)
	default:
		return nil
	}
}

func numbers[T any](text func([]byte, T) []byte, parse parser[T]) form[T] {
	return integers(text, parse, frameTexts(text), scanTexts(parse))
}

func integers[T any](
	text func([]byte, T) []byte, parse parser[T], frame func([]byte, []T) []byte, scan func([]byte, []T) (int, []byte),
) form[T] {
	return form[T]{
		append: func(dst []byte, v T) ([]byte, error) { return text(dst, v), nil },
		parser: func() parser[T] { return parse },
		bulk:   &bulk[T]{frame: frame, scan: scan, faithful: true},
	}
}

type signed interface {
	int | int8 | int16 | int32 | int64
}

type unsigned interface {
	uint | uint8 | uint16 | uint32 | uint64
}

func appendInt[I signed](dst []byte, v I) []byte { return strconv.AppendInt(dst, int64(v), 10) }

func appendUint[U unsigned](dst []byte, v U) []byte { return strconv.AppendUint(dst, uint64(v), 10) }

func parseInt[I signed](item []byte, v *I) error {
	digits, negative := item, len(item) > 0 && item[0] == '-'
	if negative {
		digits = item[1:]
	}
	size, ok := decimal(digits)
	n := int64(size)
	if negative {
		n = -n
		ok = ok && size <= -math.MinInt64
	} else {
		ok = ok && size <= math.MaxInt64
	}
	if !ok || int64(I(n)) != n {
		return json.Unmarshal(item, v)
	}
	*v = I(n)
	return nil
}

func parseUint[U unsigned](item []byte, v *U) error {
	n, ok := decimal(item)
	if !ok || uint64(U(n)) != n {
		return json.Unmarshal(item, v)
	}
	*v = U(n)
	return nil
}

// decimal parses an unsigned integer of at most 19 digits, which cannot overflow.
func decimal(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for _, c := range text {
		digit := c - '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + uint64(digit)
	}
	return n, true
}

func appendFloat[F float32 | float64](bits int) func([]byte, F) []byte {
	return func(dst []byte, v F) []byte {
		return strconv.AppendFloat(dst, float64(v), 'g', -1, bits)
	}
}

func parseFloat[F float32 | float64](bits int) parser[F] {
	return func(item []byte, v *F) error {
		if isNumber(item) || isNotFinite(item) {
			if f, err := strconv.ParseFloat(string(item), bits); err == nil {
				*v = F(f)
				return nil
			}
		}
		return json.Unmarshal(item, v)
	}
}

func isNotFinite(text []byte) bool {
	switch string(text) {
	case "NaN", "+Inf", "-Inf":
		return true
	default:
		return false
	}
}

// isNumber reports whether text is a number in the grammar of JSON; strconv accepts more.
func isNumber(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	whole, text := cutDigits(text)
	if len(whole) == 0 || whole[0] == '0' && len(whole) > 1 {
		return false
	}
	if len(text) > 0 && text[0] == '.' {
		var fraction []byte
		if fraction, text = cutDigits(text[1:]); len(fraction) == 0 {
			return false
		}
	}
	if len(text) > 0 && (text[0] == 'e' || text[0] == 'E') {
		text = text[1:]
		if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
			text = text[1:]
		}
		var exponent []byte
		if exponent, text = cutDigits(text); len(exponent) == 0 {
			return false
		}
	}
	return len(text) == 0
}

func cutDigits(text []byte) (digits, rest []byte) {
	n := 0
	for n < len(text) && text[n]-'0' <= 9 {
		n++
	}
	return text[:n], text[n:]
}

func parseBool(item []byte, v *bool) error {
	switch string(item) {
	case "true":
		*v = true
	case "false":
		*v = false
	default:
		return json.Unmarshal(item, v)
	}
	return nil
}
