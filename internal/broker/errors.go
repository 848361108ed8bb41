package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
)

// What callers decide on.
var (
	ErrURL         = errors.New("bad Redis URL")
	ErrUnreachable = errors.New("redis cannot be reached")
	ErrName        = errors.New("bad name")
	ErrNoQueue     = errors.New("no such queue")
	ErrTaken       = errors.New("the queue has a consumer already")
	ErrSealed      = errors.New("the queue is sealed: no further source can join")
	ErrEnded       = errors.New("the source has ended")
	ErrFenced      = errors.New("fenced off: a successor has taken over, or the lease ran out")
	ErrCut         = errors.New("the stream was given up before its end")
	ErrFull        = errors.New("the queue is full")
	ErrElsewhere   = errors.New("the source feeds another queue")
)

// passing are the first words of the errors of Redis that go by by themselves.
var passing = []string{"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "NOSCRIPT", "OOM", "BUSY", "NOREPLICAS"}

// isPassing reports whether the same command may succeed later.
func isPassing(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return true
	}
	for _, word := range passing {
		if strings.HasPrefix(err.Error(), word+" ") || strings.HasPrefix(err.Error(), "ERR "+word) {
			return true
		}
	}
	return strings.Contains(err.Error(), "connection pool timeout")
}
