package broker

import (
	"strconv"
	"strings"
)

// A source may have children: the outputs for one offset of it, as a source of their own. The name of a
// child is that of its parent, a slash, the offset, a dot and the number of outputs: s-1/6.10000 has the
// outputs for the offset 6 of s-1, at the offsets 0 to 9,999. A child may have children and branches:
// s-1/6.10000~0/17.300.

// Child returns the name of the source of n outputs for an offset of a source.
func Child(source string, offset int64, n int) string {
	return source + "/" + strconv.FormatInt(offset, 10) + "." + strconv.Itoa(n)
}

// IsChild reports whether a source is a child.
func IsChild(name string) bool { return strings.IndexByte(name, '/') >= 0 }

// Parent returns the parent of a child, with the branches that the child took since it was made, the
// offset there and the number of items of the child. ok is false for the name of no child.
func Parent(name string) (parent string, offset, n int64, ok bool) {
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return "", 0, 0, false
	}
	own, branch := name[at+1:], ""
	if i := strings.IndexByte(own, '~'); i >= 0 {
		own, branch = own[:i], own[i:]
	}
	first, count, _ := strings.Cut(own, ".")
	offset, errOffset := strconv.ParseInt(first, 10, 64)
	n, errCount := strconv.ParseInt(count, 10, 64)
	if errOffset != nil || errCount != nil || offset < 0 || n < 1 || Child("", offset, int(n)) != "/"+own {
		return "", 0, 0, false
	}
	return name[:at] + branch, offset, n, true
}

// Ancestor returns the source that a child belongs to at last, by its name in the same queue, and the
// offset there. A source that is no child is its own ancestor, at the given offset.
func Ancestor(name string, offset int64) (ancestor string, at int64) {
	for {
		parent, first, _, ok := Parent(name)
		if !ok {
			return name, offset
		}
		name, offset = parent, first
	}
}

// Inputs returns how many offsets of the source that was scattered begin with n offsets of a source: all
// of them, or of a child one, with its first item.
func Inputs(source string, first int64, n int) int {
	name, at, child := source, first, false
	for {
		parent, offset, _, ok := Parent(name)
		switch {
		case !ok && child:
			return 1
		case !ok:
			return n
		case at != 0:
			return 0
		}
		name, at, child = parent, offset, true
	}
}

// Root splits the name of a source in a queue, or a path in From, into the name of the source that was
// scattered and the branches that its items took.
func Root(name string) (root, branch string) {
	name, _ = Ancestor(name, 0)
	if i := strings.IndexByte(name, '~'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}
