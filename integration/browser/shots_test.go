package browser

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/dqbridge/dqbridge/internal/page"
)

// A picture is a page in a window.
type picture struct {
	name, page, scheme string
	width, height      int64
}

// pictures are those of docs/dashboard.md.
var pictures = []picture{
	{"flows", "flows", "light", 1280, 850},
	{"flow", "flow", "light", 1280, 1330},
	{"flow-dark", "flow", "dark", 1280, 1330},
	{"flow-phone", "flow", "light", 360, 740},
	{"worker", "worker", "light", 1280, 1060},
}

func TestPictures(t *testing.T) {
	f := newFleet(t)
	s := f.await(t, "all work", busy)
	at := serve(t, f, page.Options{Operator: f.operator(t), As: "ann@ops"})
	visit := open(t)
	do(t, visit.ctx, "begin", chromedp.Navigate(at+"/"))
	if err := rest(t.Context(), 75*time.Second); err != nil { // the trends and charts need points
		t.Fatal(err)
	}
	for _, p := range pictures {
		looks(t, visit.ctx, p.width, p.height, p.scheme)
		visit.goTo(t, at+visits(s)[p.page])
		visit.until(t, `document.readyState === "complete" && (!document.querySelector("[data-chart]") || document.querySelector(".uplot"))`)
		shoot(t, visit.ctx, p.name)
	}
}

// small returns a picture with a palette of 256 colours, which takes a third of the bytes.
func small(t *testing.T, text []byte) []byte {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[color.RGBA]int{}
	bounds := whole.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			counts[rough(whole.At(x, y))]++
		}
	}
	reduced := image.NewPaletted(bounds, paletteOf(counts))
	draw.Draw(reduced, bounds, whole, bounds.Min, draw.Src)
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, reduced); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// rough returns one of fewer colours.
func rough(c color.Color) color.RGBA {
	r, g, b, _ := c.RGBA()
	part := func(v uint32) uint8 { return uint8(v>>8)&^3 | uint8(v>>14) } // black and white stay
	return color.RGBA{part(r), part(g), part(b), 255}
}

// paletteOf returns the most frequent colours.
func paletteOf(counts map[color.RGBA]int) color.Palette {
	var palette color.Palette
	for len(palette) < 256 && len(counts) > 0 {
		var most color.RGBA
		for c, n := range counts {
			if n > counts[most] {
				most = c
			}
		}
		palette = append(palette, most)
		delete(counts, most)
	}
	return palette
}
