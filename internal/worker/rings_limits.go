//go:build !rings

package worker

// A worker waits for rings if its partition has more stages or more workers than that.
const (
	ringStages  = 16
	ringWorkers = 50
)
