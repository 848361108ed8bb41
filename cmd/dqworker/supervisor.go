package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/dqbridge/dqbridge/internal/worker"
)

// A supervisor is the systemd that has started this process, if it has: then it gets the state of the
// worker by NOTIFY_SOCKET.
type supervisor struct {
	watchdog time.Duration // 0: none
	log      *slog.Logger
}

// newSupervisor returns the supervisor of this process.
func newSupervisor(log *slog.Logger) (supervisor, error) {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return supervisor{}, fmt.Errorf("the watchdog of systemd: %w", err)
	}
	return supervisor{watchdog: watchdog, log: log}, nil
}

// feed is an option by which heartbeats feed the watchdog, and failed ones during an outage of Redis.
// It follows that of the lease.
func (s supervisor) feed(o *worker.Options) error {
	switch lease := o.Connection.Lease; {
	case s.watchdog == 0:
	case s.watchdog < lease:
		return fmt.Errorf("WatchdogSec of systemd is %v, below the lease of %v: raise it, since heartbeats may be late", s.watchdog, lease)
	default:
		o.Feed = func() { s.tell(daemon.SdNotifyWatchdog) }
	}
	return nil
}

// tell sends a state to systemd, if it has started this process.
func (s supervisor) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("systemd was not notified", "err", err)
	}
}

// ready says that the worker runs functions.
func (s supervisor) ready(about string) { s.tell(daemon.SdNotifyReady + "\nSTATUS=" + about) }

// stopping says that the worker finishes its calls.
func (s supervisor) stopping() { s.tell(daemon.SdNotifyStopping + "\nSTATUS=finishes its calls") }
