package executor

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

// A fleetView is what a partition knows of the functions of the workers. It is read again after a lease,
// in the home partition by countWorkers, so that making a stage costs no command for each worker.
type fleetView struct {
	mu      sync.Mutex
	read    time.Time // when the workers were read
	workers []workerFunctions
	counted map[string]counted // by function and tags, since read
}

// workerFunctions are the tags and functions of a worker.
type workerFunctions struct {
	tags      []string
	functions []broker.FunctionCard
}

// counted are the workers that have a function, by its signature, and its versions.
type counted struct {
	workers  map[signature]int
	versions map[signature]map[string]bool
}

// lookup returns the workers with a function and tags, if they were read after a time.
func (v *fleetView) lookup(name string, tags []string, after time.Time) (counted, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.read.IsZero() || v.read.Before(after) {
		return counted{}, false
	}
	return v.count(name, tags), true
}

// set stores the workers that were read at a time, unless later ones are known.
func (v *fleetView) set(live []broker.Process, at time.Time) {
	workers := make([]workerFunctions, len(live))
	for i, p := range live {
		workers[i] = workerFunctions{splitTags(p.Card["tags"]), cards(p)}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !at.Before(v.read) {
		v.read, v.workers, v.counted = at, workers, map[string]counted{}
	}
}

// count counts the workers that have a function and tags. v.mu is held.
func (v *fleetView) count(name string, tags []string) counted {
	key := name
	for _, tag := range tags {
		key += " " + tag
	}
	if c, ok := v.counted[key]; ok {
		return c
	}
	c := counted{map[signature]int{}, map[signature]map[string]bool{}}
	stage := broker.Stage{Tags: tags}
	for _, w := range v.workers {
		if !stage.Admits(w.tags) {
			continue
		}
		for _, card := range w.functions {
			if card.Name == name {
				theirs := signatureOf(card)
				if c.workers[theirs]++; c.versions[theirs] == nil {
					c.versions[theirs] = map[string]bool{}
				}
				c.versions[theirs][card.Version] = true
			}
		}
	}
	v.counted[key] = c
	return c
}

// signatures returns the live workers with a function and tags, as they are now.
func (p *partition) signatures(ctx context.Context, name string, tags []string) (counted, error) {
	began := time.Now()
	live, err := p.c.Processes(ctx, broker.RoleWorker, p.ex.lease)
	if err != nil {
		return counted{}, err
	}
	p.fleet.set(live, began)
	found, _ := p.fleet.lookup(name, tags, began)
	return found, nil
}

// fitting returns the live workers with a function and tags. They may be those of a lease ago, as a worker
// that has died may count for a lease, if all of these have the signature want.
func (p *partition) fitting(ctx context.Context, name string, tags []string, want signature) (counted, error) {
	if found, ok := p.fleet.lookup(name, tags, time.Now().Add(-p.ex.lease)); ok && found.agree(want) {
		return found, nil
	}
	return p.signatures(ctx, name, tags)
}

// agree reports whether workers have a function, all in one version and with the signature want.
func (c counted) agree(want signature) bool {
	for theirs := range c.workers {
		return len(c.workers) == 1 && len(c.versions[theirs]) == 1 && theirs.fits(want)
	}
	return false
}

// mostCommon returns the signature that most workers have, of the fitting ones if there are any,
// and the number of fitting ones.
func mostCommon(count map[signature]int, want signature) (best signature, fitting int) {
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

// compare orders signatures by their text.
func (s signature) compare(other signature) int { return cmp.Compare(s.String(), other.String()) }
