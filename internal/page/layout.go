package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The measures of a graph, in pixels.
const (
	nodeWidth, nodeHeight = 184, 78
	gapWidth, gapHeight   = 132, 26
	margin                = 8
	maxNodes              = 40 // of a graph that is drawn
)

// A link of a graph goes from one node to another, both by their numbers.
type arc struct{ from, to int }

// A place is the position of a node: its layer from the left, and its upper left corner.
type place struct{ layer, x, y int }

// A plan is where the nodes and arcs of a graph are drawn.
type plan struct {
	places        []place
	paths         []string // of the arcs, in the form of SVG
	labels        []place  // of the texts of the arcs, in the middle of the first gap
	width, height int
}

// A spot is a node, or a point in a layer through which a long arc passes.
type spot struct {
	layer  int
	real   bool
	before []int // spots that arcs come from
	after  []int
	weight float64
	y      int
}

// layOut places nodes in layers by the longest way from the roots, orders each layer by the mean
// position of the neighbours, and connects the nodes by lines with right angles.
func layOut(nodes int, arcs []arc) plan {
	layers := longest(nodes, arcs)
	spots := make([]*spot, nodes, nodes+len(arcs))
	for i := range spots {
		spots[i] = &spot{layer: layers[i], real: true}
	}
	routes := make([][]int, len(arcs)) // the spots of each arc
	for i, a := range arcs {
		routes[i] = []int{a.from}
		for layer := layers[a.from] + 1; layer < layers[a.to]; layer++ {
			spots = append(spots, &spot{layer: layer})
			routes[i] = append(routes[i], len(spots)-1)
		}
		routes[i] = append(routes[i], a.to)
		for j := range routes[i][1:] {
			from, to := routes[i][j], routes[i][j+1]
			spots[from].after, spots[to].before = append(spots[from].after, to), append(spots[to].before, from)
		}
	}
	rows := arrange(spots)
	p := plan{places: make([]place, nodes)}
	p.stack(spots, rows)
	for i := range p.places {
		p.places[i] = place{spots[i].layer, left(spots[i].layer), spots[i].y}
	}
	for i := range arcs {
		p.connect(spots, routes[i])
	}
	return p
}

// longest returns the layer of each node: the greatest number of arcs on a way to it. Arcs of a
// circle count a few times only.
func longest(nodes int, arcs []arc) []int {
	layers := make([]int, nodes)
	for range nodes {
		changed := false
		for _, a := range arcs {
			if layers[a.to] <= layers[a.from] && layers[a.from] < nodes-1 {
				layers[a.to], changed = layers[a.from]+1, true
			}
		}
		if !changed {
			break
		}
	}
	return compact(layers)
}

// compact renumbers the layers without those that have no node.
func compact(layers []int) []int {
	used := slices.Clone(layers)
	slices.Sort(used)
	used = slices.Compact(used)
	for i, l := range layers {
		layers[i], _ = slices.BinarySearch(used, l)
	}
	return layers
}

// arrange returns the spots of each layer in their order from the top.
func arrange(spots []*spot) [][]int {
	var rows [][]int
	for i, s := range spots {
		for len(rows) <= s.layer {
			rows = append(rows, nil)
		}
		rows[s.layer] = append(rows[s.layer], i)
	}
	position := make([]float64, len(spots))
	number := func(row []int) {
		for i, at := range row {
			position[at] = (float64(i) + 0.5) / float64(len(row))
		}
	}
	order := func(row []int, neighbours func(*spot) []int) {
		for _, at := range row {
			if spots[at].weight = position[at]; len(neighbours(spots[at])) > 0 {
				sum := 0.0
				for _, n := range neighbours(spots[at]) {
					sum += position[n]
				}
				spots[at].weight = sum / float64(len(neighbours(spots[at])))
			}
		}
		slices.SortStableFunc(row, func(a, b int) int { return cmp.Compare(spots[a].weight, spots[b].weight) })
		number(row)
	}
	for _, row := range rows {
		number(row)
	}
	for range 2 {
		for _, row := range rows {
			order(row, func(s *spot) []int { return s.before })
		}
		for _, row := range slices.Backward(rows) {
			order(row, func(s *spot) []int { return s.after })
		}
	}
	return rows
}

// stack gives each spot its height and the plan its size.
func (p *plan) stack(spots []*spot, rows [][]int) {
	heights := make([]int, len(rows))
	for i, row := range rows {
		for _, at := range row {
			heights[i] += spots[at].height() + gapHeight
		}
		p.height = max(p.height, heights[i]-gapHeight)
	}
	for i, row := range rows {
		y := margin + (p.height-heights[i]+gapHeight)/2
		for _, at := range row {
			spots[at].y = y
			y += spots[at].height() + gapHeight
		}
	}
	p.height += 2 * margin
	p.width = left(len(rows)-1) + nodeWidth + margin
}

func (s *spot) height() int {
	if s.real {
		return nodeHeight
	}
	return nodeHeight / 2
}

func (s *spot) middle() int { return s.y + s.height()/2 }

// left returns the left side of a layer.
func left(layer int) int { return margin + layer*(nodeWidth+gapWidth) }

// connect adds the line of an arc through its spots.
func (p *plan) connect(spots []*spot, route []int) {
	var d strings.Builder
	for i := range route[1:] {
		a, b := spots[route[i]], spots[route[i+1]]
		from, to := left(a.layer)+nodeWidth, left(b.layer)
		if i == 0 {
			fmt.Fprintf(&d, "M%d %d", from, a.middle())
			p.labels = append(p.labels, place{a.layer, from + gapWidth/2, b.middle()})
		}
		turn := from + gapWidth/6
		fmt.Fprintf(&d, "H%dV%dH%d", turn, b.middle(), to)
		if !b.real {
			fmt.Fprintf(&d, "H%d", to+nodeWidth)
		}
	}
	p.paths = append(p.paths, d.String())
}
