package page

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestLayersFollowLongestWay(t *testing.T) {
	t.Parallel()
	// 0 -> 1 -> 2 -> 3, 0 -> 3, 4 -> 2
	p := layOut(5, []arc{{0, 1}, {1, 2}, {2, 3}, {0, 3}, {4, 2}})
	var layers []int
	for _, at := range p.places {
		layers = append(layers, at.layer)
	}
	if want := []int{0, 1, 2, 3, 0}; !slices.Equal(layers, want) {
		t.Errorf("the layers are %v, not %v", layers, want)
	}
	if len(p.paths) != 5 || len(p.labels) != 5 {
		t.Errorf("%d paths and %d labels", len(p.paths), len(p.labels))
	}
}

func TestChainIsStraight(t *testing.T) {
	t.Parallel()
	p := layOut(4, []arc{{0, 1}, {1, 2}, {2, 3}})
	for _, at := range p.places {
		if at.y != p.places[0].y {
			t.Errorf("the places are %+v", p.places)
		}
	}
}

// Nodes lie inside of the drawing and do not overlap, whatever the graph, also with circles.
func TestNodesDoNotOverlap(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		n := 1 + random.IntN(maxNodes)
		var arcs []arc
		for range random.IntN(2 * n) {
			if a := (arc{random.IntN(n), random.IntN(n)}); a.from != a.to {
				arcs = append(arcs, a)
			}
		}
		p := layOut(n, arcs)
		for i, a := range p.places {
			if a.x < 0 || a.y < 0 || a.x+nodeWidth > p.width || a.y+nodeHeight > p.height {
				t.Fatalf("node %d at %+v is outside of %d x %d", i, a, p.width, p.height)
			}
			for j, b := range p.places[:i] {
				if a.x < b.x+nodeWidth && b.x < a.x+nodeWidth && a.y < b.y+nodeHeight && b.y < a.y+nodeHeight {
					t.Fatalf("nodes %d at %+v and %d at %+v overlap: %v", i, a, j, b, arcs)
				}
			}
		}
	}
}

// The lines of a fan do not cross.
func TestOrderAvoidsCrossings(t *testing.T) {
	t.Parallel()
	// Two roots with two leaves each, whose numbers are mixed.
	arcs := []arc{{0, 2}, {0, 4}, {1, 3}, {1, 5}}
	p := layOut(6, arcs)
	upper, lower := arcs[:2], arcs[2:]
	if p.places[0].y > p.places[1].y {
		upper, lower = lower, upper
	}
	for _, a := range upper {
		for _, b := range lower {
			if p.places[a.to].y > p.places[b.to].y {
				t.Errorf("the places are %+v", p.places)
			}
		}
	}
}
