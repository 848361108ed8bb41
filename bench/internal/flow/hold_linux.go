package flow

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Hold keeps the thread for d. Without its slack, 50 us as a rule, the kernel wakes
// a thread within some 20 us.
func Hold(d time.Duration) error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return err
	}
	left := unix.NsecToTimespec(int64(d))
	for {
		if err := unix.Nanosleep(&left, &left); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
