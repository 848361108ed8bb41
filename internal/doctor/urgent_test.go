package doctor_test

import (
	"slices"
	"testing"

	"github.com/dqbridge/dqbridge/internal/doctor"
)

// Failures come first, and then warnings about queues and the like before those about the server.
func TestUrgentFindingsComeFirst(t *testing.T) {
	t.Parallel()
	found := []doctor.Finding{
		{ID: "D1", Level: doctor.OK}, {ID: "D5", Level: doctor.Warn}, {ID: "D9", Level: doctor.Warn, Subject: "f"}, {ID: "D4", Level: doctor.Fail},
		{ID: "D12", Level: doctor.Warn, Subject: "dead"}, {ID: "D18", Level: doctor.Skipped}, {ID: "D7", Level: doctor.Fail, Subject: "w"},
	}
	var ids []string
	for _, f := range doctor.Urgent(found) {
		ids = append(ids, f.ID)
	}
	if want := []string{"D7", "D4", "D9", "D12", "D5"}; !slices.Equal(ids, want) {
		t.Errorf("%v, not %v", ids, want)
	}
}
