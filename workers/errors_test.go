package workers

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestErrorsTellTheFirst(t *testing.T) {
	for want, err := range map[string]error{
		"2 items of the batch failed, the first at index 3: bad": Errors{7: errors.New("worse"), 3: errors.New("bad"), 1: nil},
		"no item of the batch failed":                            fmt.Errorf("%w", Errors{}),
	} {
		if err.Error() != want {
			t.Errorf("got %v", err)
		}
	}
}

func TestWrappedErrorsOfFunctions(t *testing.T) {
	why := errors.New("why")
	for name, wrap := range map[string]func(error) error{
		"Permanent": Permanent, "Unavailable": Unavailable,
		"RetryAfter": func(err error) error { return RetryAfter(err, time.Second) },
	} {
		if err := wrap(nil); err != nil {
			t.Errorf("%s(nil) is %v", name, err)
		}
		if err := wrap(why); !errors.Is(err, why) || err.Error() != "why" {
			t.Errorf("%s(why) is %v", name, err)
		}
	}
}
