package codec

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/dqbridge/dqbridge/internal/batch"
)

var (
	zstdJSON = Zstd(JSON, 0)
	zstdRaw  = Zstd(Raw, 16)
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestZstdPacksCompressibleItems(t *testing.T) {
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, c := range []struct {
		above int
		text  string
		mark  byte
	}{
		{1000, strings.Repeat("a", 1000), asIs}, {999, strings.Repeat("a", 1000), packed}, {0, strings.Repeat("a", 1000), packed},
		{-1, strings.Repeat("ab", 1<<20), packed}, {-1, "", asIs}, {0, "a", asIs}, {0, string(noise), asIs},
	} {
		z := Zstd(Raw, c.above)
		item := encode(t, must[string](t, z), c.text)[0]
		if item[0] != c.mark || len(item) > len(c.text)+1 || c.mark == packed && len(item) > len(c.text)/10 {
			t.Errorf("%d bytes above %d: mark %d and %d bytes", len(c.text), c.above, item[0], len(item))
		}
		if alone, err := z.Marshal(c.text); err != nil || !bytes.Equal(alone, item) {
			t.Errorf("%d bytes above %d: Marshal returns %d others, %v", len(c.text), c.above, len(alone), err)
		}
		wantRoundTrip(t, z, c.text, "", c.text)
	}
}

// An item that compresses without limit is padded, so that readers accept it.
func TestZstdBoundsUnpackedSize(t *testing.T) {
	typed := must[[]byte](t, zstdRaw)
	for _, size := range []int{1 << 12, 1<<20 - 1, 1 << 20, batch.MaxItem} {
		item := encode(t, typed, make([]byte, size))[0]
		if len(item)*maxGrowth < size || len(item) > size/maxGrowth+64 {
			t.Errorf("%d bytes become an item of %d", size, len(item))
		}
		got, bad := decode(typed, item)
		if len(bad) > 0 || len(got[0]) != size {
			t.Errorf("%d bytes come back as %d, %v", size, len(got[0]), bad)
		}
	}
}

func TestZstdKeepsTooLargeItems(t *testing.T) {
	item, err := must[[]byte](t, zstdRaw).Append(nil, make([]byte, batch.MaxItem+1))
	if err != nil || len(item) <= batch.MaxItem {
		t.Errorf("an item of %d bytes, %v", len(item), err)
	}
}

// rle returns a zstd frame with blocks of 128 KiB, each of one repeated byte. It declares a size if
// declared is not negative.
func rle(declared int64, window byte, blocks int) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, window}
	if declared >= 0 {
		frame[4] = 3 << 6
		frame = binary.LittleEndian.AppendUint64(frame, uint64(declared))
	}
	for i := range blocks {
		block := uint32(128<<10<<3 | 1<<1)
		if i == blocks-1 {
			block |= 1
		}
		frame = append(frame, byte(block), byte(block>>8), byte(block>>16), ' ')
	}
	return frame
}

// bombs returns items of some 10 KiB that unpack to hundreds of MiB or more.
func bombs() map[string][]byte {
	const (
		blocks = 2500
		size   = blocks * 128 << 10
		small  = 7 << 3 // a window of 128 KiB
		large  = 19 << 3
	)
	items := map[string][]byte{}
	for name, frame := range map[string][]byte{
		"declared":          rle(size, small, blocks),
		"not declared":      rle(-1, small, blocks),
		"declared less":     rle(128<<10, small, blocks),
		"declared too much": rle(1<<62, small, blocks),
		"declared at most":  rle(batch.MaxItem, small, 1),
		"large window":      rle(128<<10, large, blocks),
		"second frame":      append(rle(128<<10, small, 1), rle(-1, small, blocks)...),
		"second declared":   append(rle(128<<10, small, 1), rle(size, small, blocks)...),
		"many frames":       bytes.Repeat(rle(128<<10, small, 1), 500),
		"filler first":      append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, rle(size, small, blocks)...),
	} {
		items[name] = append([]byte{packed}, frame...)
	}
	return items
}

func TestZstdRefusesBombs(t *testing.T) {
	typed := must[[]byte](t, zstdRaw)
	good := encode(t, typed, []byte("good"))[0]
	for name, bomb := range bombs() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, bad := decode(typed, good, bomb, good)
		runtime.ReadMemStats(&after)
		if len(bad) != 1 || bad[1] == nil || string(got[0])+string(got[2]) != "goodgood" {
			t.Errorf("%s: got %.20q, bad %v", name, got, bad)
		}
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 4<<20 {
			t.Errorf("%s: an item of %d bytes allocates %d", name, len(bomb), cost)
		}
	}
}

func TestDecodeZstd(t *testing.T) {
	frame := string(encode(t, must[string](t, zstdRaw), strings.Repeat("ab", 500))[0])
	for item, want := range map[string]any{
		"\x00": "", "\x00a": "a", frame: strings.Repeat("ab", 500),
		"": nil, "\x01": nil, "\x02a": nil, "a": nil, "\xff": nil, "\x01a": nil, "\x01" + frame: nil,
		"\x01" + string(rle(-1, 7<<3, 0)) + "\x01\x00\x00": nil, frame + "a": nil, frame[:len(frame)-1]: nil, frame[:8]: nil, frame[:6] + "\xff" + frame[7:]: nil,
	} {
		wantDecoded(t, zstdRaw, "good", item, want)
	}
	wantDecoded(t, zstdJSON, 3, "\x00x", nil)
	if Zstd(nil, 0).Unmarshal([]byte("\x001"), new(int)) == nil {
		t.Error("a codec of nothing decodes")
	}
	if _, err := Zstd(nil, 0).Marshal(1); err == nil {
		t.Error("a codec of nothing encodes")
	}
}

func TestZstdIsSafeForConcurrentUse(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 20 {
				wantRoundTrip(t, zstdJSON, strings.Repeat(string(rune('a'+i)), 1000*j), "x")
			}
		})
	}
	wg.Wait()
}

// A codec is often a package variable, and tests in virtual time use it too.
func TestZstdInAndOutOfVirtualTime(t *testing.T) {
	c := Zstd(JSON, 0)
	for range 2 {
		synctest.Test(t, func(t *testing.T) { wantRoundTrip(t, c, strings.Repeat("in", 1000)) })
	}
	wantRoundTrip(t, c, strings.Repeat("out", 1000))
}
