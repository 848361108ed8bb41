package executor

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// A signature is the types of a function.
type signature struct{ in, out codec.Info }

func (s signature) fits(other signature) bool { return fits(s.in, other.in) && fits(s.out, other.out) }

func (s signature) String() string { return fmt.Sprintf("from %v to %v", s.in, s.out) }

// compare orders signatures by their text.
func (s signature) compare(other signature) int { return cmp.Compare(s.String(), other.String()) }

// types compares a function with the live workers that have it, and takes the types from them where the caller deals in
// encoded items: of several, those that most workers have. held: there is a worker that fits. It is an error only if all
// workers that have the function have other types; workers with other types leave the stage to those that fit.
func (ex *Executor) types(ctx context.Context, name string, in, out codec.Info) (inType, outType codec.Info, held bool, err error) {
	live, err := ex.c.Processes(ctx, broker.RoleWorker, ex.lease)
	if err != nil {
		return in, out, false, err
	}
	want := signature{in, out}
	count, versions := map[signature]int{}, map[signature]map[string]bool{}
	for _, p := range live {
		for _, card := range cards(p) {
			if card.Name == name {
				theirs := signature{codec.Info{Codec: card.InCodec, Type: card.In}, codec.Info{Codec: card.OutCodec, Type: card.Out}}
				if count[theirs]++; versions[theirs] == nil {
					versions[theirs] = map[string]bool{}
				}
				versions[theirs][card.Version] = true
			}
		}
	}
	best, fitting := most(count, want)
	switch {
	case len(count) == 0:
		return in, out, false, nil
	case fitting == 0:
		return in, out, true, fmt.Errorf("function %q: %w: the workers have it %v, this handle is %v", name, ErrTypeMismatch, best, want)
	case len(count) > 1:
		ex.log.WarnContext(ctx, "some workers have a function with other types: they are left out", "function", name, "types", best.String())
	}
	if found := versions[best]; len(found) > 1 {
		ex.log.WarnContext(ctx, "workers have a function in several versions: their results mix",
			"function", name, "versions", fmt.Sprintf("%q", slices.Sorted(maps.Keys(found))))
	}
	if in.Wildcard() {
		in = best.in
	}
	if out.Wildcard() {
		out = best.out
	}
	return in, out, true, nil
}

// most returns the signature that most workers have, of those that fit if there are any, and how many fit.
func most(count map[signature]int, want signature) (best signature, fitting int) {
	for i, s := range slices.SortedFunc(maps.Keys(count), signature.compare) {
		if s.fits(want) {
			fitting++
		}
		better := count[s] > count[best]
		if i == 0 || s.fits(want) && (!best.fits(want) || better) {
			best = s
		}
	}
	return best, fitting
}
