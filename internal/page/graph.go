package page

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
)

// A drawing is the graph of a flow.
type drawing struct {
	Width, Height int // 0 if it has too many nodes to be drawn
	Nodes         []node
	Edges         []edge
}

// A node is a source, a stage or a gather.
type node struct {
	Kind                 string // "source", "stage" or "gather"
	Title, First, Second string
	State                string  // "", "stuck" or "paused"
	Stage, Queue         string  // one of them is the page behind it
	Busy                 float64 // part of the time of its slots
	X, Y, Width, Height  int
}

// An edge is a queue between two nodes.
type edge struct {
	From, To      string // titles of the nodes
	Queue         string
	First, Second string // the text beside it
	Full, Past    bool   // it is full; most items do not go through it
	Path          string
	X, Y          int
}

// A grapher makes the nodes and edges of a graph.
type grapher struct {
	now     time.Time
	gathers []inspect.Gather
	nodes   []node
	edges   []edge
	arcs    []arc
}

// draw returns the graph of stages and queues.
func draw(s *state, stages []inspect.Stage, queues []inspect.Queue, sources []sourceRow) drawing {
	g := grapher{now: s.Snapshot.At, gathers: gathersOf(s, queues)}
	for _, st := range stages {
		g.nodes = append(g.nodes, stageNode(st))
	}
	for _, q := range queues {
		var from []int
		to := -1
		for i, st := range stages {
			if slices.Contains(st.Out, q.Name) {
				from = append(from, i)
			}
			if slices.Contains(st.In, q.Name) {
				to = i
			}
		}
		if feeds := sourceNode(q, sources); len(from) == 0 || feeds.First != "" {
			g.nodes = append(g.nodes, feeds)
			from = append(from, len(g.nodes)-1)
		}
		if to < 0 {
			g.nodes = append(g.nodes, g.gatherNode(q))
			to = len(g.nodes) - 1
		}
		g.connect(q, from, to)
	}
	d := drawing{Nodes: g.nodes, Edges: g.edges}
	if len(g.nodes) > maxNodes {
		return d
	}
	p := layOut(len(g.nodes), g.arcs)
	d.Width, d.Height = p.width, p.height
	for i, at := range p.places {
		d.Nodes[i].X, d.Nodes[i].Y, d.Nodes[i].Width, d.Nodes[i].Height = at.x, at.y, nodeWidth, nodeHeight
	}
	for i := range d.Edges {
		d.Edges[i].Path, d.Edges[i].X, d.Edges[i].Y = p.paths[i], p.labels[i].x, p.labels[i].y
	}
	return d
}

// connect adds the edges of a queue. The first one has the text.
func (g *grapher) connect(q inspect.Queue, from []int, to int) {
	for i, at := range from {
		e := edge{From: g.nodes[at].Title, To: g.nodes[to].Title, Queue: q.Name, Full: q.Full}
		e.Past = q.Added+q.Fused > 0 && q.Fused >= q.Added
		if i == 0 {
			e.First = number(q.Unread()) + " waiting"
			if q.Full {
				e.First += ", FULL"
			}
			switch age := since(g.now, q.Oldest); {
			case age > 0:
				e.Second = "oldest " + duration(age)
			case e.Past:
				e.Second = percent(float64(q.Fused)/float64(q.Added+q.Fused)) + " fused"
			}
		}
		g.edges = append(g.edges, e)
		g.arcs = append(g.arcs, arc{at, to})
	}
}

func stageNode(st inspect.Stage) node {
	n := node{Kind: "stage", Title: cmp.Or(st.Function, st.Kind), Stage: st.ID, Busy: busy(st)}
	n.First = rate(st.Rate)
	if st.P50 > 0 {
		n.First += " · p50 " + duration(st.P50)
	}
	switch {
	case st.Paused:
		n.State, n.Second = "paused", "paused"
	case st.Kind == "copy":
		n.Second = "copies each item"
	case st.Workers == 0:
		n.State, n.Second = "stuck", "no worker has it"
	default:
		n.Second = fmt.Sprintf("%s · %s busy", plural(st.Slots, "slot"), percent(n.Busy))
	}
	return n
}

// busy returns the part of the time of its slots for which a stage has used them recently.
func busy(st inspect.Stage) float64 {
	if st.Slots == 0 || st.Recent.Length == 0 {
		return 0
	}
	return min(1, float64(st.Recent.Busy)/float64(st.Recent.Length)/float64(st.Slots))
}

// sourceNode returns the sources of a queue as one node. Its First is "" if there is none.
func sourceNode(q inspect.Queue, sources []sourceRow) node {
	n := node{Kind: "source", Title: "sources", Queue: q.Name, Second: "none is open"}
	count, stored := 0, int64(0)
	for _, src := range sources {
		if src.Queue != q.Name {
			continue
		}
		if count++; count == 1 {
			n.Second = src.State
		} else if n.Second != src.State {
			n.Second = "in several states"
		}
		stored += src.Stored
	}
	if count > 0 {
		n.Title, n.First = plural(count, "source"), number(stored)+" stored"
	}
	return n
}

// gatherNode returns the gather of a queue.
func (g *grapher) gatherNode(q inspect.Queue) node {
	n := node{Kind: "gather", Title: "gather", Queue: q.Name}
	switch {
	case q.Gather == nil && q.Consumer == "":
		n.First, n.Second = "no program gathers", q.Name
	case q.Gather == nil:
		n.First, n.Second = "a program that has left", q.Name
	default:
		n.First, n.Second = process(q.Gather), q.Gather.State
		if q.Gather.State == inspect.Dead {
			n.State = "stuck"
		}
	}
	if i := slices.IndexFunc(g.gathers, func(known inspect.Gather) bool { return known.Queue == q.Name }); i >= 0 && n.State == "" {
		n.Second = doing(g.gathers[i])
	}
	return n
}

// doing says in few words what a gather does.
func doing(g inspect.Gather) string {
	switch g.State {
	case inspect.Open:
		return number(g.Delivered) + " delivered"
	case inspect.Reader:
		return "waits for its program"
	case inspect.Missing:
		return "waits for an item"
	default:
		return g.State
	}
}

// process returns host and number of a process.
func process(p *inspect.Process) string {
	if p == nil {
		return ""
	}
	if p.Host == "" {
		return clean(p.ID, maxName)
	}
	return clean(fmt.Sprintf("%s:%d", p.Host, p.PID), maxName)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(n) + " " + noun + "s"
}
