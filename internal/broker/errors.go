package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// What callers decide on.
var (
	ErrURL         = errors.New("bad Redis URL")
	ErrUnreachable = errors.New("redis cannot be reached")
	ErrName        = errors.New("bad name")
	ErrVersion     = errors.New("made by another version of dqbridge")
	ErrPartitions  = errors.New("the namespace has another number of partitions")
	ErrNoQueue     = errors.New("no such queue")
	ErrTaken       = errors.New("the queue has a consumer already")
	ErrStageExists = errors.New("there is a stage already")
	ErrSealed      = errors.New("the queue is sealed: no further source can join")
	ErrEnded       = errors.New("the source has ended")
	ErrFenced      = errors.New("fenced off: a successor has taken over, or the lease ran out")
	ErrCut         = errors.New("the stream was given up before its end")
	ErrFull        = errors.New("the queue is full")
	ErrElsewhere   = errors.New("the source feeds another queue")
)

// passing are the first words of the errors of Redis that go by by themselves.
var passing = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "MASTERDOWN", "NOSCRIPT", "OOM", "BUSY", "NOREPLICAS",
	"MISCONF", "UNBLOCKED force", "max number of clients",
}

// wandering are the errors of the client that go by: it does not know where the
// master is.
var wandering = []string{"connection pool timeout", "redis: all sentinels", "redis: cluster has no nodes"}

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
	return slices.ContainsFunc(wandering, func(text string) bool { return strings.Contains(err.Error(), text) })
}
