package broker

import (
	"fmt"
	"regexp"
	"slices"
)

// MaxName is the largest length of a name.
const MaxName = 64

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// CheckName checks that a name can be part of a key: the name of a queue, a function or a
// namespace. The error names the kind of object by what.
func CheckName(what, name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%w: %s %q: use 1 to 64 of A-Z a-z 0-9 . _ -", ErrInvalidName, what, name)
	}
	return nil
}

// CheckTags checks tags of a worker or a stage, which have the form of names. It returns them sorted
// and without repetitions.
func CheckTags(tags []string) ([]string, error) {
	for _, tag := range tags {
		if err := CheckName("tag", tag); err != nil {
			return nil, err
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(tags))), nil
}

// keys builds the name of every key; prefix is "{ns:p}:" for the partition p.
type keys struct{ prefix string }

func keysOf(namespace string, partition int) keys {
	return keys{fmt.Sprintf("{%s:%d}:", namespace, partition)}
}

func (k keys) space() string                { return k.prefix + "space" }
func (k keys) places() string               { return k.prefix + "places" }
func (k keys) queues() string               { return k.prefix + "queues" }
func (k keys) stream(queue string) string   { return k.prefix + "q:" + queue }
func (k keys) returns(queue string) string  { return k.prefix + "r:" + queue }
func (k keys) suspects(queue string) string { return k.prefix + "x:" + queue }
func (k keys) delayed(queue string) string  { return k.prefix + "l:" + queue }
func (k keys) due() string                  { return k.prefix + "due" }
func (k keys) expiring() string             { return k.prefix + "expiring" }
func (k keys) classes() string              { return k.prefix + "classes" }
func (k keys) direct() string               { return k.prefix + "direct" }
func (k keys) idle(class string) string     { return k.prefix + "idle:" + class }
func (k keys) dead() string                 { return k.prefix + "dead" }
func (k keys) meta(queue string) string     { return k.prefix + "m:" + queue }
func (k keys) wait(queue string) string     { return k.prefix + "wait:" + queue }
func (k keys) held(queue string) string     { return k.prefix + "held:" + queue }
func (k keys) calls(queue string) string    { return k.prefix + "calls:" + queue }
func (k keys) watch(queue string) string    { return k.prefix + "watch:" + queue }
func (k keys) sources(queue string) string  { return k.prefix + "src:" + queue }
func (k keys) source(name string) string    { return k.prefix + "s:" + name }
func (k keys) gaps(source string) string    { return k.prefix + "gaps:" + source }
func (k keys) inputs(source string) string  { return k.prefix + "in:" + source }
func (k keys) named(queue string) string    { return k.prefix + "named:" + queue }
func (k keys) marks(queue string) string    { return k.prefix + "d:" + queue }
func (k keys) nacked(queue string) string   { return k.prefix + "nacked:" + queue }
func (k keys) payload(id string) string     { return k.prefix + "f:" + id }
func (k keys) standby(queue string) string  { return k.prefix + "standby:" + queue }
func (k keys) awaited(id string) string     { return k.prefix + "awaited:" + id }
func (k keys) stages() string               { return k.prefix + "stages" }
func (k keys) totals(stage string) string   { return k.prefix + "t:" + stage }
func (k keys) history(stage string) string  { return k.prefix + "h:" + stage }
func (k keys) errors(stage string) string   { return k.prefix + "err:" + stage }
func (k keys) watched() string              { return k.prefix + "watched" }
func (k keys) fenced() string               { return k.prefix + "fenced" }
func (k keys) acts() string                 { return k.prefix + "acts" }
func (k keys) runs() string                 { return k.prefix + "runs" }
func (k keys) watcher() string              { return k.prefix + "watcher" }
func (k keys) owned(executor string) string { return k.prefix + "own:" + executor }
func (k keys) holds(executor string) string { return k.prefix + "holds:" + executor }
func (k keys) mailbox(id string) string     { return k.prefix + "p:" + id }
func (k keys) registry(r Role) string       { return k.prefix + string(r) + "s" }
func (k keys) card(r Role, id string) string {
	return k.prefix + string(r[0]) + ":" + id
}

func (k keys) streamOf(p StreamRef) string {
	switch p.Kind {
	case Returned:
		return k.returns(p.Queue)
	case Suspect:
		return k.suspects(p.Queue)
	case delayed:
		return k.delayed(p.Queue)
	}
	return k.stream(p.Queue)
}
