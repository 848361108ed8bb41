package connection

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/broker"
)

func TestLeaseHasALowerBound(t *testing.T) {
	t.Parallel()
	s := Default()
	if s.Lease != 10*time.Second {
		t.Errorf("the default is %v", s.Lease)
	}
	if err := s.SetLease(99 * time.Millisecond); err == nil || s.Lease != 10*time.Second {
		t.Errorf("a lease of 99ms: %v, %v", s.Lease, err)
	}
	if err := s.SetLease(100 * time.Millisecond); err != nil || s.Lease != 100*time.Millisecond {
		t.Errorf("a lease of 100ms: %v, %v", s.Lease, err)
	}
}

func TestNilLoggerIsSilent(t *testing.T) {
	t.Parallel()
	s := Default()
	s.SetLogger(nil)
	if s.Log == nil || s.Log.Enabled(t.Context(), slog.LevelError) {
		t.Errorf("the logger is %v", s.Log)
	}
}

func TestConnectRefusesAnEmptyAddress(t *testing.T) {
	t.Parallel()
	s := Default()
	if _, err := s.Connect(t.Context(), ""); !errors.Is(err, broker.ErrInvalidURL) {
		t.Errorf("got %v", err)
	}
}
