package embedded

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
)

// An ordered map iterates over its keys in the order of insertion.
type ordered[V any] struct {
	at   map[string]int // index in list
	list []slot[V]
}

// The slot of a removed key is empty until the list is compacted.
type slot[V any] struct {
	key   string
	value V
	there bool
}

func newOrdered[V any]() *ordered[V] { return &ordered[V]{at: map[string]int{}} }

func (o *ordered[V]) len() int {
	if o == nil {
		return 0
	}
	return len(o.at)
}

func (o *ordered[V]) get(key string) (v V, there bool) {
	if o == nil {
		return v, false
	}
	i, there := o.at[key]
	if there {
		v = o.list[i].value
	}
	return v, there
}

// put sets a value and reports whether the key is new.
func (o *ordered[V]) put(key string, v V) bool {
	if i, there := o.at[key]; there {
		o.list[i].value = v
		return false
	}
	o.at[key] = len(o.list)
	o.list = append(o.list, slot[V]{key, v, true})
	return true
}

// remove reports whether the key existed.
func (o *ordered[V]) remove(key string) bool {
	if o == nil {
		return false
	}
	i, there := o.at[key]
	if !there {
		return false
	}
	delete(o.at, key)
	o.list[i] = slot[V]{}
	if len(o.list) > 16 && len(o.list) > 2*len(o.at) {
		o.compact()
	}
	return true
}

func (o *ordered[V]) compact() {
	list, at := make([]slot[V], 0, len(o.at)+len(o.at)/4), make(map[string]int, len(o.at))
	for key, v := range o.all() {
		at[key] = len(list)
		list = append(list, slot[V]{key, v, true})
	}
	o.list, o.at = list, at
}

// all iterates over keys and values. The map must not change meanwhile.
func (o *ordered[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if o == nil {
			return
		}
		for _, s := range o.list {
			if s.there && !yield(s.key, s.value) {
				return
			}
		}
	}
}

// sorted returns the keys in ascending order.
func (o *ordered[V]) sorted() []string { return slices.Sorted(maps.Keys(o.at)) }

// sample returns n different random keys, or -n random keys with repetition. Its cost is O(keys)
// only for a quarter of the keys or more.
func (o *ordered[V]) sample(n int64) (keys []string) {
	if o.len() == 0 {
		return nil
	}
	if n >= int64(o.len()+3)/4 {
		for key := range o.all() {
			keys = append(keys, key)
		}
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		return keys[:min(n, int64(len(keys)))]
	}
	picked := map[int]bool{}
	for most := min(max(n, -n), maxArgs); int64(len(keys)) < most; {
		i := rand.IntN(len(o.list))
		if o.list[i].there && (n < 0 || !picked[i]) {
			picked[i] = n > 0
			keys = append(keys, o.list[i].key)
		}
	}
	return keys
}
