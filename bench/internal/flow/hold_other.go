//go:build !linux

package flow

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// Hold blocks the thread for d.
func Hold(d time.Duration) error {
	for end := time.Now().Add(d); d > 0; d = time.Until(end) {
		left := unix.NsecToTimeval(int64(d))
		if _, err := unix.Select(0, nil, nil, nil, &left); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}
