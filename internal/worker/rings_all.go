//go:build rings

package worker

// The limits of rings_limits.go for a run of all tests in which every worker waits for rings.
const (
	ringStages  = 0
	ringWorkers = 0
)
