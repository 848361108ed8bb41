package embedded

import (
	"fmt"
	"slices"
	"testing"
)

// A sample has the requested number of existing members, and each member appears in one of many
// samples.
func TestRandomMembers(t *testing.T) {
	t.Parallel()
	m := newOrdered[struct{}]()
	for i := range 1000 {
		m.put(fmt.Sprint(i), struct{}{})
	}
	for i := range 900 { // some slots of the list are empty, and some were compacted
		m.remove(fmt.Sprint(i))
	}
	for n, want := range map[int64]int{0: 0, 1: 1, 20: 20, 25: 25, 99: 99, 100: 100, 5000: 100, -1: 1, -300: 300} {
		seen := map[string]bool{}
		for range 200 {
			keys := m.sample(n)
			if len(keys) != want {
				t.Fatalf("a sample of %d has %d members", n, len(keys))
			}
			for _, key := range keys {
				if _, there := m.get(key); !there {
					t.Fatalf("a sample of %d has %q", n, key)
				}
				seen[key] = true
			}
			if slices.Sort(keys); n > 0 && len(slices.Compact(keys)) != want {
				t.Fatalf("a sample of %d has a member twice: %q", n, keys)
			}
		}
		if want >= 20 && len(seen) != 100 {
			t.Errorf("200 samples of %d have %d members of 100", n, len(seen))
		}
	}
	var none *set
	if keys := none.sample(3); len(keys) != 0 {
		t.Errorf("a sample of nothing is %q", keys)
	}
}
