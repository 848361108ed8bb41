package inspect

// SameCause reports whether two looks at a flow have found the same state, with the same cause of a
// standstill or limit of the rate, apart from the figures.
func (f Flow) SameCause(other Flow) bool {
	return f.State == other.State && f.Remedy == other.Remedy && f.about == other.about && (f.Why == "") == (other.Why == "") &&
		f.Bottleneck.isSame(other.Bottleneck)
}

// WithCause returns the flow with the figures of this look, and the state and its cause of another one.
func (f Flow) WithCause(other Flow) Flow {
	f.State, f.Why, f.Remedy, f.about, f.Bottleneck = other.State, other.Why, other.Remedy, other.about, other.Bottleneck
	return f
}

// isSame reports whether two bottlenecks, which may be nil, differ in their figures at most.
func (b *Bottleneck) isSame(other *Bottleneck) bool {
	if b == nil || other == nil {
		return b == other
	}
	return b.Kind == other.Kind && b.Stage == other.Stage && b.Queue == other.Queue && b.other == other.other
}
