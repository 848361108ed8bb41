package curve

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A Chart is one picture with logarithmic axes.
type Chart struct {
	File   string   `json:"file"`
	Title  string   `json:"title"`
	X      Axis     `json:"x"`
	Y      Axis     `json:"y"`
	Series []Series `json:"series"`
}

// An Axis has its ticks at the measured values, or at powers of ten.
type Axis struct {
	Label string               `json:"label"`
	Unit  func(float64) string `json:"-"`
}

// A Series is one line.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
	Dashed bool    `json:"-"` // computed, not measured
}

// A Point is one value.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// colours are distinct for colour-blind readers too.
var colours = []color.Color{
	color.RGBA{R: 0x00, G: 0x5f, B: 0xa3, A: 0xff}, color.RGBA{R: 0xd5, G: 0x5e, B: 0x00, A: 0xff},
	color.RGBA{R: 0x00, G: 0x8a, B: 0x63, A: 0xff}, color.RGBA{R: 0x99, G: 0x4f, B: 0x88, A: 0xff},
}

var grey = color.Gray{Y: 0xd8}

// Draw writes the picture into a folder.
func (c Chart) Draw(dir string) error {
	p := plot.New()
	p.Title.Text, p.Title.Padding = c.Title, vg.Points(8)
	for _, a := range []struct {
		axis *plot.Axis
		from Axis
	}{{&p.X, c.X}, {&p.Y, c.Y}} {
		a.axis.Label.Text, a.axis.Scale = a.from.Label, plot.LogScale{}
		a.axis.Label.Padding, a.axis.Padding = vg.Points(6), 0
	}
	for _, style := range []*font.Font{
		&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font, &p.Legend.TextStyle.Font,
	} {
		style.Variant, style.Size = "Sans", vg.Points(11)
	}
	p.Title.TextStyle.Font.Size = vg.Points(13)
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = grey, grey
	p.Add(grid)
	for i, s := range c.Series {
		if err := s.add(p, colours[i%len(colours)]); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	p.X.Tick.Marker = measured(c)
	p.Y.Min, p.Y.Max = decades(p.Y.Min, p.Y.Max)
	p.Y.Tick.Marker = tens(c.Y.Unit)
	p.Legend.Left, p.Legend.Top = true, c.legendTop()
	p.Legend.Padding, p.Legend.ThumbnailWidth, p.Legend.XOffs = vg.Points(3), vg.Points(24), vg.Points(8)
	p.Legend.YOffs = vg.Points(8)
	if p.Legend.Top {
		p.Legend.YOffs = vg.Points(-8)
	}
	return c.save(p, filepath.Join(dir, c.File))
}

// save leaves a margin for viewers with wider fonts.
func (c Chart) save(p *plot.Plot, file string) error {
	canvas := vgsvg.New(vg.Points(560), vg.Points(330))
	p.Draw(draw.Crop(draw.New(canvas), vg.Points(6), vg.Points(-24), vg.Points(6), vg.Points(-6)))
	var out strings.Builder
	if _, err := canvas.WriteTo(&out); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

func (s Series) add(p *plot.Plot, colour color.Color) error {
	var points plotter.XYs
	for _, at := range s.Points {
		points = append(points, plotter.XY{X: at.X, Y: at.Y})
	}
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = colour, vg.Points(1.8)
	dots.Color, dots.Shape, dots.Radius = colour, draw.CircleGlyph{}, vg.Points(2.6)
	if s.Dashed {
		line.Dashes = []vg.Length{vg.Points(5), vg.Points(4)}
		line.Width = vg.Points(1.2)
		p.Add(line)
		p.Legend.Add(s.Name, line)
		return nil
	}
	p.Add(line, dots)
	p.Legend.Add(s.Name, line, dots)
	return nil
}

// legendTop puts the legend on the left, away from the lines.
func (c Chart) legendTop() bool {
	low, high, first := math.Inf(1), math.Inf(-1), 0.0
	for _, s := range c.Series {
		for _, at := range s.Points {
			low, high = min(low, at.Y), max(high, at.Y)
		}
		first += math.Log(s.Points[0].Y) / float64(len(c.Series))
	}
	return first < (math.Log(low)+math.Log(high))/2
}

// decades widens a range to powers of ten.
func decades(low, high float64) (float64, float64) {
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	if low == high {
		high *= 10
	}
	return low, high
}

// tens has a tick at each power of ten.
func tens(unit func(float64) string) plot.Ticker {
	return plot.TickerFunc(func(low, high float64) (ticks []plot.Tick) {
		for at := low; at < high*1.001; at *= 10 {
			ticks = append(ticks, plot.Tick{Value: at, Label: unit(at)})
		}
		return ticks
	})
}

// measured has a tick at each measured value.
func measured(c Chart) plot.Ticker {
	return plot.TickerFunc(func(float64, float64) (ticks []plot.Tick) {
		seen := map[float64]bool{}
		for _, s := range c.Series {
			for _, at := range s.Points {
				if !seen[at.X] {
					ticks = append(ticks, plot.Tick{Value: at.X, Label: c.X.Unit(at.X)})
				}
				seen[at.X] = true
			}
		}
		return ticks
	})
}

var (
	perSecond = Axis{"items a second", number}
	latency   = Axis{"one item at a time", span}
)

func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprint(v)
}

func bytes(v float64) string {
	switch {
	case v >= 1<<20:
		return fmt.Sprintf("%.0f MiB", v/(1<<20))
	case v >= 1<<10:
		return fmt.Sprintf("%.0f KiB", v/(1<<10))
	}
	return fmt.Sprintf("%.0f B", v)
}

// span writes milliseconds.
func span(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f s", v/1000)
	case v >= 0.999:
		return fmt.Sprintf("%.0f ms", v)
	}
	return fmt.Sprintf("%.3g us", v*1000)
}
