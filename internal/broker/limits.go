package broker

import (
	"fmt"
	"strings"
	"time"
)

// Limits are the limits of a stage over all workers together. take.lua keeps them.
type Limits struct {
	// Most is the number of calls that may run at once; 0: any number.
	Most int `json:"most,omitempty"`
	// Rate is the number of calls that may begin in Per, evenly spread; 0: any number.
	Rate int           `json:"rate,omitempty"`
	Per  time.Duration `json:"per,omitempty"` // ns
	// Burst is the number of these calls that may begin at once.
	Burst int `json:"burst,omitempty"`
	// Batch is the number of items of a call, which waits for that many for at most Linger; 0: as many as
	// an entry has.
	Batch  int           `json:"batch,omitempty"`
	Linger time.Duration `json:"linger,omitempty"` // ns
}

// String describes the limits; "" for nil.
func (l *Limits) String() string {
	if l == nil {
		return ""
	}
	var parts []string
	if l.Most > 0 {
		parts = append(parts, fmt.Sprintf("%d calls at once", l.Most))
	}
	if l.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%d calls in %v", l.Rate, l.Per))
	}
	if l.Batch > 0 {
		parts = append(parts, fmt.Sprintf("%d items a call within %v", l.Batch, l.Linger))
	}
	return strings.Join(parts, ", ")
}
