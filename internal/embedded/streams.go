package embedded

import (
	"math"
	"slices"
	"strings"
)

const (
	errStreamID = "ERR Invalid stream ID specified as stream command argument"
	errTooSmall = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	errFull     = "ERR The stream has exhausted the last possible ID, unable to add more items"
)

func streamCommands() map[string]command {
	return map[string]command{
		"XADD": {-5, (*call).xadd}, "XLEN": {2, (*call).xlen}, "XDEL": {-3, (*call).xdel}, "XTRIM": {-4, (*call).xtrim},
		"XRANGE": {-4, (*call).xrange}, "XREVRANGE": {-4, (*call).xrange},
	}
}

// trimming is how a stream is trimmed.
type trimming struct {
	on   bool
	most int // number of entries to keep
	from id  // lowest id to keep
}

// trimming parses MAXLEN or MINID; they are exact, even with ~. It returns the remaining arguments.
// If ok is false, it has replied with an error.
func (c *call) trimming(args []string) (t trimming, rest []string, ok bool) {
	if len(args) < 2 || !is(args[0], "MAXLEN") && !is(args[0], "MINID") {
		return t, args, true
	}
	t.on, t.most = true, math.MaxInt
	by, args := args[0], args[1:]
	if (args[0] == "~" || args[0] == "=") && len(args) > 1 {
		args = args[1:]
	}
	if is(by, "MINID") {
		if t.from, ok = parseID(args[0], 0); !ok {
			c.out.fail(errStreamID)
		}
	} else {
		var most int64
		if most, ok = c.number(args[0]); ok {
			t.most = int(max(most, 0))
		}
	}
	args = args[1:]
	if len(args) > 1 && is(args[0], "LIMIT") {
		args = args[2:]
	}
	return t, args, ok
}

// apply trims a stream and returns the number of removed entries.
func (t trimming) apply(s *stream) int {
	if !t.on {
		return 0
	}
	at, _ := s.at(t.from)
	return s.trim(max(at, len(s.entries)-t.most))
}

func (c *call) xadd() {
	key, args := c.args[0], c.args[1:]
	create := true
	if is(args[0], "NOMKSTREAM") {
		create, args = false, args[1:]
	}
	trim, args, ok := c.trimming(args)
	if !ok {
		return
	}
	if len(args) < 3 || len(args)%2 == 0 {
		c.out.fail("ERR wrong number of arguments for 'xadd' command")
		return
	}
	var asked id
	if args[0] != "*" {
		if asked, ok = c.asked(args[0]); !ok {
			return
		}
	}
	s, ok := find[*stream](c, key)
	if !ok {
		return
	}
	if s == nil && !create {
		c.out.null()
		return
	}
	fresh := s == nil
	if fresh {
		s = newStream()
	}
	i, ok := c.newID(s, asked)
	if !ok {
		return
	}
	if fresh {
		c.s.store(key, s)
	}
	s.entries = append(s.entries, entry{i, slices.Clone(args[1:])})
	s.last = i
	trim.apply(s)
	c.s.changed(key)
	c.out.bulk(i.String())
}

// asked parses the id given for a new entry. If ok is false, it has replied with an error.
func (c *call) asked(text string) (i id, ok bool) {
	if i, ok = parseID(text, 0); !ok {
		c.out.fail(errStreamID)
	} else if i == (id{}) {
		c.out.fail("ERR The ID specified in XADD must be greater than 0-0")
		ok = false
	}
	return i, ok
}

// newID returns the id of a new entry: asked, or the next one if asked is zero. If ok is false, it
// has replied with an error.
func (c *call) newID(s *stream, asked id) (i id, ok bool) {
	next, ok := s.last.next()
	if !ok {
		c.out.fail(errFull)
		return i, false
	}
	if i = asked; i == (id{}) {
		if i = (id{uint64(c.s.ms()), 0}); i.compare(next) < 0 {
			i = next
		}
	}
	if i.compare(next) < 0 {
		c.out.fail(errTooSmall)
		return i, false
	}
	return i, true
}

func (c *call) xlen() {
	s, ok := find[*stream](c, c.args[0])
	switch {
	case !ok:
	case s == nil:
		c.out.integer(0)
	default:
		c.out.integer(int64(len(s.entries)))
	}
}

// ids parses ids. If ok is false, it has replied with an error.
func (c *call) ids(args []string) (ids []id, ok bool) {
	ids = make([]id, len(args))
	for at, arg := range args {
		if ids[at], ok = parseID(arg, 0); !ok {
			c.out.fail(errStreamID)
			return nil, false
		}
	}
	return ids, true
}

func (c *call) xdel() {
	s, ok := find[*stream](c, c.args[0])
	if !ok {
		return
	}
	if s == nil {
		c.out.integer(0)
		return
	}
	if ids, ok := c.ids(c.args[1:]); ok {
		c.tally(ids, s.remove)
	}
}

// tally calls remove for each id and replies with the number of removed entries.
func (c *call) tally(ids []id, remove func(id) bool) {
	n := 0
	for _, i := range ids {
		if remove(i) {
			n++
		}
	}
	c.out.integer(int64(n))
}

func (c *call) xtrim() {
	trim, rest, ok := c.trimming(c.args[1:])
	if !ok {
		return
	}
	if !trim.on || len(rest) > 0 {
		c.out.fail(errSyntax)
		return
	}
	switch s, ok := find[*stream](c, c.args[0]); {
	case !ok:
	case s == nil:
		c.out.integer(0)
	default:
		c.out.integer(int64(trim.apply(s)))
	}
}

// bounds parses the ends of a range of ids, including -, + and exclusive ids. If ok is false, it
// has replied with an error.
func (c *call) bounds(low, high string) (from, to id, ok bool) {
	text, exclusive := strings.CutPrefix(low, "(")
	if from, ok = parseID(text, 0); text == "-" && !exclusive {
		from, ok = id{}, true
	} else if exclusive && ok {
		from, ok = from.next()
	}
	if !ok {
		c.out.fail(errStreamID)
		return from, to, false
	}
	text, exclusive = strings.CutPrefix(high, "(")
	if to, ok = parseID(text, math.MaxUint64); text == "+" && !exclusive {
		to, ok = lastID, true
	} else if exclusive && ok {
		to, ok = to.before()
	}
	if !ok {
		c.out.fail(errStreamID)
	}
	return from, to, ok
}

// xrange implements XRANGE and XREVRANGE, which has the higher bound first.
func (c *call) xrange() {
	low, high, reverse := c.args[1], c.args[2], is(c.name, "XREVRANGE")
	if reverse {
		low, high = high, low
	}
	from, to, ok := c.bounds(low, high)
	if !ok {
		return
	}
	count := int64(math.MaxInt32)
	switch rest := c.args[3:]; {
	case len(rest) == 2 && is(rest[0], "COUNT"):
		if count, ok = c.number(rest[1]); !ok {
			return
		}
	case len(rest) > 0:
		c.out.fail(errSyntax)
		return
	}
	s, ok := find[*stream](c, c.args[0])
	if !ok {
		return
	}
	if s == nil {
		c.out.array(0)
		return
	}
	if count <= 0 {
		c.out.nullArray()
		return
	}
	first, _ := s.at(from)
	last, there := s.at(to)
	if there {
		last++
	}
	list := s.entries[first:max(first, last)]
	n := int(min(count, int64(len(list))))
	if reverse {
		list = slices.Clone(list[len(list)-n:])
		slices.Reverse(list)
	}
	c.entries(list[:n])
}

func (c *call) entries(list []entry) {
	c.out.array(len(list))
	for _, e := range list {
		c.out.array(2)
		c.out.bulk(e.id.String())
		if e.fields == nil { // the entry is deleted
			c.out.nullArray()
		} else {
			c.texts(e.fields)
		}
	}
}
