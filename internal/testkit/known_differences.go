package testkit

import "slices"

// A difference is a known and harmless difference between a redis-server and the embedded broker.
type difference struct {
	why string // the difference, and why it is harmless
	// without returns a reply without the difference.
	without func(verb string, args []string, r Reply) Reply
}

// differences lists all allowed differences. Remove an entry that no longer occurs, see
// Differential.Unseen.
var differences = []difference{
	{"HELLO tells which server it is; nothing is made of it", ignore("HELLO")},
	{"CONFIG is not known to the embedded broker; it drops nothing, and only a warning is made of it", ignore("CONFIG")},
	{"CLIENT is not known to the embedded broker, all of whose processes end at one time: only the lease counts there", ignore("CLIENT")},
	{"entries-read and lag of a group are not counted; what is unread is computed from the entries", func(verb string, args []string, r Reply) Reply {
		if verb != "XINFO" || len(args) < 2 || args[1] != "GROUPS" || r.Kind != '*' {
			return r
		}
		return r.dropFields("entries-read", "lag")
	}},
}

// ignore ignores the reply of a command.
func ignore(of string) func(string, []string, Reply) Reply {
	return func(verb string, _ []string, r Reply) Reply {
		if verb == of {
			return Reply{Kind: '+', Text: of}
		}
		return r
	}
}

// dropFields removes fields from each element of a list; the elements are flat pairs.
func (r Reply) dropFields(names ...string) Reply {
	r.List = slices.Clone(r.List)
	for i, one := range r.List {
		var kept []Reply
		for pair := range slices.Chunk(one.List, 2) {
			if !slices.Contains(names, pair[0].Text) {
				kept = append(kept, pair...)
			}
		}
		r.List[i].List = kept
	}
	return r
}

// without removes all known differences from a reply, except the one with index but.
func without(verb string, args []string, r Reply, but int) Reply {
	for i, d := range differences {
		if i != but {
			r = d.without(verb, args, r)
		}
	}
	return r
}
