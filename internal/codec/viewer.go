package codec

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// A Viewer shows items to people, who know neither their type nor their codec.
type Viewer struct {
	codec string
	zstd  *zstdCodec // nil if the items are not compressed
}

// NewViewer returns a Viewer for the items of a codec, by its name.
func NewViewer(name string) Viewer {
	inner, compressed := strings.CutPrefix(name, "zstd+")
	if compressed {
		return Viewer{inner, Zstd(Raw, 0).(*zstdCodec)}
	}
	return Viewer{name, nil}
}

// View returns an item without its compression, as JSON if it is a value of JSON or MessagePack.
// isJSON and isText say what it is; neither is true for other bytes.
func (v Viewer) View(item []byte) (shown []byte, isJSON, isText bool) {
	if v.zstd != nil {
		plain, err := v.zstd.unpack(item, new([]byte))
		if err != nil {
			return item, false, false
		}
		item = plain
	}
	switch v.codec {
	case JSON.Name():
		if json.Valid(item) {
			return item, true, true
		}
	case MsgPack.Name():
		if text := msgPackText(item); text != nil {
			return text, true, true
		}
		return item, false, false
	}
	return item, false, utf8.Valid(item)
}

// msgPackText returns a value of MessagePack as JSON, nil if JSON cannot have it.
func msgPackText(item []byte) []byte {
	var v any
	if MsgPack.Unmarshal(item, &v) != nil {
		return nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}
