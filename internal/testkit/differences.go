package testkit

import (
	"regexp"
	"slices"
	"strings"
)

// A difference is one between a redis-server and the embedded broker that is known and
// harms nobody.
type difference struct {
	why string // it is, and why it is harmless
	// without is a reply without it.
	without func(verb string, args []string, r Reply) Reply
}

// differences are all that are allowed. One that no longer is there has to go, see
// Twins.Unseen. Those of entries that a stranger deletes while they are held are allowed
// in the namespace "deleted" only: no stranger reaches the embedded broker.
var differences = []difference{
	{"HELLO tells which server it is; nothing is made of it", constant("HELLO")},
	{"CONFIG is not known to the embedded broker; it drops nothing, and only a warning is made of it", constant("CONFIG")},
	{"CLIENT is not known to the embedded broker, all of whose processes end at one time: only the lease counts there", constant("CLIENT")},
	{"a group that has not read stands at 0 and not at 0-0; is_behind in lib.lua reads both", groups(func(name string, v Reply) (Reply, bool) {
		if name == "last-delivered-id" && v.Text == "0" {
			v.Text = "0-0"
		}
		return v, true
	})},
	{"entries-read and lag of a group are not counted; what is unread is computed from the entries", groups(func(name string, v Reply) (Reply, bool) {
		return v, name != "entries-read" && name != "lag"
	})},
	{"who finds nothing to read does not become a consumer; it becomes one with the first entry", func(verb string, args []string, r Reply) Reply {
		r = groups(func(name string, v Reply) (Reply, bool) { return v, name != "consumers" })(verb, args, r)
		if isConsumers(verb, args) {
			r.List = slices.DeleteFunc(slices.Clone(r.List), func(c Reply) bool { return c.List[3].Text == "0" })
		}
		return r
	}},
	{"the idle times of consumers; life is told by heartbeats", func(verb string, args []string, r Reply) Reply {
		if !isConsumers(verb, args) {
			return r
		}
		return r.each(func(name string, v Reply) (Reply, bool) { return v, name != "idle" && name != "inactive" })
	}},
	{"an error that a script catches begins with its line; only whether it is READONLY or the like is read, which the embedded broker never says",
		func(verb string, _ []string, r Reply) Reply {
			if verb != "take.lua" || r.Kind != '*' {
				return r
			}
			r.List = slices.Clone(r.List)
			for i, route := range r.List {
				r.List[i] = route.with(4, Reply{Kind: '$', Text: scriptLine.ReplaceAllString(route.List[4].Text, "")})
			}
			return r
		}},
	{"what is held and deleted is not read again, where it would be nil; Held leaves it out", func(verb string, args []string, r Reply) Reply {
		if verb != "XREADGROUP" || len(r.List) != 1 || args[len(args)-1] == ">" {
			return r
		}
		entries := r.List[0].List[1]
		entries.List = slices.DeleteFunc(slices.Clone(entries.List), func(e Reply) bool { return e.List[1].Null })
		return r.with(0, r.List[0].with(1, entries))
	}},
	{"what is held and deleted does not count in XINFO and in the summary of XPENDING; the list of XPENDING has it", ofDeleted(func(verb string, args []string, r Reply) Reply {
		if verb == "waiting.lua" {
			return r.with(3, Reply{Kind: ':', Text: "running"})
		}
		return groups(func(name string, v Reply) (Reply, bool) { return v, name != "pending" })(verb, args, r)
	})},
	{"XACK counts no entry that is deleted, so complete.lua takes it for finished", ofDeleted(func(verb string, _ []string, r Reply) Reply {
		if verb == "complete.lua" && len(r.List) == 1 && (r.List[0].Text == "ok" || r.List[0].Text == "lost") {
			return Reply{Kind: '+', Text: "finished"}
		}
		return r
	})},
	{"XAUTOCLAIM leaves the marks of what is deleted with who held it, and does not tell it", ofDeleted(func(verb string, args []string, r Reply) Reply {
		switch {
		case verb == "XAUTOCLAIM":
			return r.with(2, Reply{Kind: '+', Text: "deleted"})
		case verb == "XPENDING" || isConsumers(verb, args):
			r.List = slices.DeleteFunc(slices.Clone(r.List), func(row Reply) bool { return row.List[1].Text == "g" })
		}
		return r
	})},
}

var scriptLine = regexp.MustCompile(`^:\d+: `)

func isConsumers(verb string, args []string) bool { return verb == "XINFO" && args[1] == "CONSUMERS" }

// constant takes no note of what a verb answers.
func constant(of string) func(string, []string, Reply) Reply {
	return func(verb string, _ []string, r Reply) Reply {
		if verb == of {
			return Reply{Kind: '+', Text: of}
		}
		return r
	}
}

// ofDeleted is a difference that is allowed where strangers delete.
func ofDeleted(without func(string, []string, Reply) Reply) func(string, []string, Reply) Reply {
	return func(verb string, args []string, r Reply) Reply {
		if r.Kind == '*' && slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "{deleted:0}:") }) {
			return without(verb, args, r)
		}
		return r
	}
}

// groups changes the fields of the replies of XINFO GROUPS, or drops them.
func groups(field func(name string, v Reply) (changed Reply, keep bool)) func(string, []string, Reply) Reply {
	return func(verb string, args []string, r Reply) Reply {
		if verb != "XINFO" || args[1] != "GROUPS" {
			return r
		}
		return r.each(field)
	}
}

// each changes the fields of each of a list of flat pairs.
func (r Reply) each(field func(name string, v Reply) (Reply, bool)) Reply {
	r.List = slices.Clone(r.List)
	for i, one := range r.List {
		var kept []Reply
		for pair := range slices.Chunk(one.List, 2) {
			if v, keep := field(pair[0].Text, pair[1]); keep {
				kept = append(kept, pair[0], v)
			}
		}
		r.List[i].List = kept
	}
	return r
}

// without is a reply without all known differences but the one at an index.
func without(verb string, args []string, r Reply, but int) Reply {
	for i, d := range differences {
		if i != but {
			r = d.without(verb, args, r)
		}
	}
	return r
}
