package embedded

import (
	"container/heap"
	"maps"
	"math"
)

// A value is the value of a key.
type value struct {
	key  string
	data any   // string, *hash, *set, *zset or *stream
	due  int64 // last millisecond of its lifetime; forever: no lifetime
	at   int   // index in the deadlines
}

const forever = math.MaxInt64

type (
	hash = ordered[string]
	set  = ordered[struct{}]
)

// deadlines is a heap of the values with a lifetime. The next one to expire is on top.
type deadlines []*value

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].due < d[j].due }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}

func (d *deadlines) Push(x any) {
	v := x.(*value)
	v.at = len(*d)
	*d = append(*d, v)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	v := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return v
}

// expire removes the keys whose lifetime has ended.
func (s *Server) expire() {
	for now := s.ms(); len(s.expires) > 0 && s.expires[0].due < now; {
		s.work.expired++
		s.remove(s.expires[0].key)
	}
}

// ms returns the time of the running command in milliseconds.
func (s *Server) ms() int64 { return s.now.UnixMilli() }

// store sets a key to data, without a lifetime.
func (s *Server) store(key string, data any) {
	s.remove(key)
	s.keys[key] = &value{key: key, data: data, due: forever}
	s.maxKeys = max(s.maxKeys, len(s.keys))
}

// shrunk returns a map without unused memory, if it has at most a quarter of most entries. now is
// the new value of most.
func shrunk[V any](m map[string]V, most int) (small map[string]V, now int) {
	if most < 64 || len(m) > most/4 {
		return m, most
	}
	small = make(map[string]V, len(m))
	maps.Copy(small, m)
	return small, len(m)
}

// setDue sets the lifetime of a value, or removes it.
func (s *Server) setDue(v *value, due int64) {
	if v.due < forever {
		heap.Remove(&s.expires, v.at)
	}
	if v.due = due; due < forever {
		heap.Push(&s.expires, v)
	}
}

// remove deletes a key and reports whether it existed.
func (s *Server) remove(key string) bool {
	v := s.keys[key]
	if v == nil {
		return false
	}
	s.setDue(v, forever)
	delete(s.keys, key)
	s.keys, s.maxKeys = shrunk(s.keys, s.maxKeys)
	s.changed(key)
	return true
}

const wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"

// find returns the value of a key, the zero value if the key does not exist. If the value has
// another type, ok is false and find has replied with an error.
func find[T any](c *call, key string) (data T, ok bool) {
	v := c.s.keys[key]
	if v == nil {
		return data, true
	}
	if data, ok = v.data.(T); !ok {
		c.out.fail(wrongType)
	}
	return data, ok
}

// matches reports whether a text matches a pattern of Redis. It supports * and ? only.
func matches(pattern, text string) bool {
	for i := range len(pattern) {
		switch {
		case pattern[i] == '*':
			for at := len(text); at >= i; at-- {
				if matches(pattern[i+1:], text[at:]) {
					return true
				}
			}
			return false
		case i >= len(text) || pattern[i] != '?' && pattern[i] != text[i]:
			return false
		}
	}
	return len(pattern) == len(text)
}
