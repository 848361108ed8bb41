package jobs

import "iter"

// Read makes jobs of items, each of at most per of them. The error of an item is the last that comes.
func Read(items iter.Seq2[[]byte, error], per int) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		next := Job{Number: 1}
		for item, err := range items {
			if err != nil {
				if len(next.Args) > 0 && !yield(next, nil) {
					return
				}
				yield(Job{}, err)
				return
			}
			next.Args = append(next.Args, string(item))
			if len(next.Args) < per {
				continue
			}
			if !yield(next, nil) {
				return
			}
			next = Job{Number: next.Number + 1}
		}
		if len(next.Args) > 0 {
			yield(next, nil)
		}
	}
}
