package broker

import (
	"errors"
	"strings"
)

// errBranched is the error of a source whose results cannot be private.
var errBranched = errors.New("its results cannot be private: the queue is not the only end of the flow, or a stage reads it")

// Private makes the results of a source go to a queue of its own, which is created in the same round
// trip, instead of the last queue of the flow. The queue has the name of the source, see PrivateName.
func Private(q Queue) SourceOption { return func(h *sourceOptions) { h.private = &q } }

// PrivateName returns the name of a source whose results are private and of its queue. last is the queue
// in whose place that one is.
func PrivateName(source, last string) string { return source + "@" + last }

// PrivateIn returns the queue in whose place a private queue is. ok is false for another queue.
func PrivateIn(queue string) (last string, ok bool) {
	_, last, ok = strings.Cut(queue, "@")
	return last, ok
}

// checkQueue is CheckName for the name of a queue that may be private.
func checkQueue(name string) error {
	source, last, private := strings.Cut(name, "@")
	if err := CheckName("queue", source); err != nil || !private {
		return err
	}
	return CheckName("queue", last)
}

// PlaceOf returns the queue that gets the items of a source from a stage with a certain out-queue: the
// private queue of the source if it is in the place of that one.
func PlaceOf(source, out string) string {
	root, _ := Root(source)
	if last, private := PrivateIn(root); private && last == out {
		return root
	}
	return out
}

// leavesOf returns the leaves of a root queue that get the items of a source.
func leavesOf(leaves []string, source string) []string {
	if _, private := PrivateIn(source); !private {
		return leaves
	}
	own := make([]string, len(leaves))
	for i, leaf := range leaves {
		queue, branch := Root(leaf)
		own[i] = PlaceOf(source, queue) + branch
	}
	return own
}
