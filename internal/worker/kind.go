package worker

import (
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/runner"
)

// kindOf returns the kind of the functions that a stage of a kind can have: those of futures are those
// of maps.
func kindOf(stage string) string {
	if stage == broker.KindFuture {
		return broker.KindMap
	}
	return stage
}

func kindOfFunction(f *runner.Function) string {
	switch {
	case f.Filter:
		return broker.KindFilter
	case f.FlatMap:
		return broker.KindFlatMap
	}
	return broker.KindMap
}

// typesOf describes the types of a function of a kind.
func typesOf(in, out codec.Info, kind string) string {
	switch kind {
	case broker.KindFilter:
		return "a filter of " + in.String()
	case broker.KindFlatMap:
		if out.Nothing() {
			return "a sink of " + in.String()
		}
		return "a flat map of " + in.String() + " to " + out.String()
	}
	return in.String() + " to " + out.String()
}
