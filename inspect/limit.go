package inspect

import "fmt"

// limited returns the stage with a backlog whose limit of all workers is used most, nil if no stage with
// a backlog has a limit.
func (f *flow) limited() (most *Stage) {
	for _, s := range f.stages {
		if s.Limits != "" && f.isBehind(s) && (most == nil || s.limitUse() > most.limitUse()) {
			most = s
		}
	}
	return most
}

// limitUse returns the part of the limits of a stage that it has used in the last half minute.
func (s *Stage) limitUse() (used float64) {
	if s.MaxConcurrency > 0 {
		used = s.busy() / float64(s.MaxConcurrency)
	}
	if s.MaxRate > 0 {
		used = max(used, s.Rate/s.MaxRate)
	}
	return used
}

// limit returns the limit of a stage as the bottleneck, nil for no stage.
func (f *flow) limit(s *Stage) *Bottleneck {
	if s == nil {
		return nil
	}
	left, _ := f.left(s)
	return &Bottleneck{
		Kind: StageLimit, Stage: s.ID, Function: s.Function,
		Text:   fmt.Sprintf("the limit of %s holds it back: %s; it does %.3g items a second, and %d wait", s.name(), s.Limits, s.Rate, left),
		Remedy: raiseLimit,
	}
}

// raiseLimit is the remedy for a limit.
const raiseLimit = "make the stage again with a higher limit, if what it protects can bear that: more slots do not help"

// heldBack is the state of a flow in which items wait for a limit, and no other reason is found.
func (f *flow) heldBack() finding {
	for _, s := range f.stages {
		if left, _ := f.left(s); left > 0 && s.Limits != "" {
			return finding{"waiting", fmt.Sprintf("stage %s (%s) waits for its limit: %s", s.ID, s.name(), s.Limits), raiseLimit, s.ID}
		}
	}
	return finding{}
}
