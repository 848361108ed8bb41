package metrics

import (
	"cmp"
	"maps"
	"slices"
)

// other is the label of the series of all stages or queues without series of their own.
const other = "_other"

// labels are those of a stage or a queue: its name, and its function or its flow.
type labels [2]string

// counts are numbers that only grow as long as their stage or queue exists. Those of the members of a
// series may be of different lengths.
type counts []int64

// A member is a stage, or a queue or one of its two ends, with the labels of its series. Several
// members may have the same. A member whose counts are nil has those of the last read.
type member struct {
	id       string
	labels   labels
	activity int64
	counts   counts
}

// A series is the members with the same labels, and a sum of their counts that never decreases.
type series struct {
	labels  labels
	sum     counts
	members []int // indexes
}

// A tally adds up the counts of members that come and go.
type tally struct {
	last map[string]counts // by id of the member
	sum  counts
}

// groups are the series of stages, or of queues. One goroutine at a time uses it.
type groups struct {
	most    int // series
	tallies map[labels]*tally
}

func newGroups(most int) *groups { return &groups{most, map[labels]*tally{}} }

// update adds the growth of all members since the last call to their series, and forgets series
// without members.
func (g *groups) update(members []member) []series {
	found := g.assign(members)
	kept := make(map[labels]*tally, len(found))
	for i := range found {
		s := &found[i]
		t := g.tallies[s.labels]
		if t == nil {
			t = &tally{}
		}
		t.update(members, s.members)
		s.sum, kept[s.labels] = slices.Clone(t.sum), t
	}
	g.tallies = kept
	return found
}

// assign divides the members into series. Labels that had a series keep it, and the most active
// others get one. So no counter ever takes over the past of another one.
func (g *groups) assign(members []member) []series {
	index, activity := map[labels][]int{}, map[labels]int64{}
	for i, m := range members {
		index[m.labels] = append(index[m.labels], i)
		activity[m.labels] = max(activity[m.labels], m.activity)
	}
	order := slices.SortedFunc(maps.Keys(index), func(a, b labels) int {
		return cmp.Or(-compareBool(g.tallies[a] != nil, g.tallies[b] != nil), cmp.Compare(activity[b], activity[a]), slices.Compare(a[:], b[:]))
	})
	own := min(len(order), g.most)
	found := make([]series, 0, own+1)
	for _, l := range order[:own] {
		found = append(found, series{labels: l, members: index[l]})
	}
	if own < len(order) {
		rest := series{labels: labels{other, ""}}
		for _, l := range order[own:] {
			rest.members = append(rest.members, index[l]...)
		}
		found = append(found, rest)
	}
	return found
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (t *tally) update(members []member, of []int) {
	last := make(map[string]counts, len(of))
	for _, i := range of {
		m := members[i]
		before := t.last[m.id]
		if m.counts == nil {
			if before != nil {
				last[m.id] = before
			}
			continue
		}
		if more := len(m.counts) - len(t.sum); more > 0 {
			t.sum = append(t.sum, make(counts, more)...)
		}
		if before == nil || m.counts.restarted(before) {
			before = make(counts, len(m.counts))
		}
		for j, n := range m.counts {
			t.sum[j] += n - before[j]
		}
		last[m.id] = m.counts
	}
	t.last = last
}

// restarted reports whether counts are those of a new stage or queue with an old name.
func (c counts) restarted(before counts) bool {
	for i, n := range c {
		if n < before[i] {
			return true
		}
	}
	return false
}
