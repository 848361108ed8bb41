package testkit

import "slices"

// A difference is one between a redis-server and the embedded broker that is known and
// harms nobody.
type difference struct {
	why string // it is, and why it is harmless
	// without is a reply without it.
	without func(verb string, args []string, r Reply) Reply
}

// differences are all that are allowed. One that no longer is there has to go, see
// Twins.Unseen.
var differences = []difference{
	{"HELLO tells which server it is; nothing is made of it", constant("HELLO")},
	{"CONFIG is not known to the embedded broker; it drops nothing, and only a warning is made of it", constant("CONFIG")},
	{"CLIENT is not known to the embedded broker, all of whose processes end at one time: only the lease counts there", constant("CLIENT")},
	{"entries-read and lag of a group are not counted; what is unread is computed from the entries", func(verb string, args []string, r Reply) Reply {
		if verb != "XINFO" || len(args) < 2 || args[1] != "GROUPS" || r.Kind != '*' {
			return r
		}
		return r.leave("entries-read", "lag")
	}},
}

// constant takes no note of what a verb answers.
func constant(of string) func(string, []string, Reply) Reply {
	return func(verb string, _ []string, r Reply) Reply {
		if verb == of {
			return Reply{Kind: '+', Text: of}
		}
		return r
	}
}

// leave leaves out fields of each of a list of flat pairs.
func (r Reply) leave(names ...string) Reply {
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

// without is a reply without all known differences but the one at an index.
func without(verb string, args []string, r Reply, but int) Reply {
	for i, d := range differences {
		if i != but {
			r = d.without(verb, args, r)
		}
	}
	return r
}
