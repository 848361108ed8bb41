package codec

import (
	"strings"
	"testing"
)

func TestViewerShowsItems(t *testing.T) {
	t.Parallel()
	encode := func(c Codec, v any) string {
		item, err := c.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(item)
	}
	long := strings.Repeat("long ", 1000)
	for name, c := range map[string]struct {
		codec, item, want string
		isJSON, isText    bool
	}{
		"json":          {"json", `{"a": 1}`, `{"a": 1}`, true, true},
		"broken json":   {"json", `{"a": `, `{"a": `, false, true},
		"text":          {"raw", "grüße", "grüße", false, true},
		"bytes":         {"raw", "\xff\x00", "\xff\x00", false, false},
		"msgpack":       {"msgpack", encode(MsgPack, map[string]any{"a": []int{1}}), `{"a":[1]}`, true, true},
		"number keys":   {"msgpack", encode(MsgPack, map[int]int{1: 2}), encode(MsgPack, map[int]int{1: 2}), false, false},
		"no msgpack":    {"msgpack", "\xc1", "\xc1", false, false},
		"zstd":          {"zstd+json", encode(Zstd(JSON, 0), long), encode(JSON, long), true, true},
		"short zstd":    {"zstd+raw", encode(Zstd(Raw, 100), "a"), "a", false, true},
		"no zstd":       {"zstd+raw", "\x01a", "\x01a", false, false},
		"another codec": {"mine", "a", "a", false, true},
	} {
		shown, isJSON, isText := NewViewer(c.codec).View([]byte(c.item))
		if string(shown) != c.want || isJSON != c.isJSON || isText != c.isText {
			t.Errorf("%s: %.50q, JSON %v, text %v", name, shown, isJSON, isText)
		}
	}
}
