package flow

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Hold blocks the thread for d. It removes the timer slack of the thread, 50 us as a rule, so that
// the kernel wakes the thread within about 20 us.
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
