package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// Errors that callers compare with errors.Is.
var (
	ErrInvalidURL     = errors.New("bad Redis URL")
	ErrUnreachable    = errors.New("redis cannot be reached")
	ErrInvalidName    = errors.New("bad name")
	ErrVersion        = errors.New("made by another version of dqbridge")
	ErrPartitions     = errors.New("the namespace has another number of partitions")
	ErrQueueNotFound  = errors.New("no such queue")
	ErrLost           = errors.New("lost in Redis")
	ErrConsumerExists = errors.New("the queue has a consumer already")
	ErrStageExists    = errors.New("there is a stage already")
	ErrStageReplaced  = errors.New("the stage before the queue was replaced by one that adds to another queue")
	ErrSealed         = errors.New("the queue is sealed: no further source can join")
	ErrEnded          = errors.New("the source has ended")
	ErrFenced         = errors.New("fenced off: a successor has taken over, or the lease ran out")
	ErrTruncated      = errors.New("the stream was abandoned before its end")
	ErrFull           = errors.New("the queue is full")
	ErrElsewhere      = errors.New("the source feeds another queue")
)

// ErrUnusable is an ErrUnreachable that waiting does not cure.
var ErrUnusable error = unusable{}

type unusable struct{}

func (unusable) Error() string { return "redis cannot be used" }

// Unwrap makes it an ErrUnreachable.
func (unusable) Unwrap() error { return ErrUnreachable }

// IsRefusal reports whether Redis refused the call and changed nothing: the object of the call is
// gone or belongs to another process. After any other error the call may have succeeded, with its
// reply lost.
func IsRefusal(err error) bool {
	return slices.ContainsFunc([]error{ErrInvalidName, ErrVersion, ErrQueueNotFound, ErrConsumerExists, ErrSealed, ErrEnded, ErrFenced, ErrElsewhere},
		func(answer error) bool { return errors.Is(err, answer) })
}

// transientCodes lists the first words of transient errors of Redis: they go away without a change
// of the configuration.
var transientCodes = []string{
	"LOADING", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "MASTERDOWN", "NOSCRIPT", "OOM", "BUSY", "NOREPLICAS",
	"MISCONF", "UNBLOCKED force", "max number of clients",
}

// topologyErrors lists transient errors of go-redis: it does not know which server is the master.
var topologyErrors = []string{"connection pool timeout", "redis: all sentinels", "redis: cluster has no nodes"}

// isTransient reports whether err is transient: the same command may succeed later. MOVED is
// transient only for a Cluster client, which follows it.
func (c *Client) isTransient(err error) bool {
	return isTransientError(err) && (c.target.options.IsClusterMode || !isMoved(err))
}

// isTransientError is isTransient without the exception for MOVED.
func isTransientError(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	var alert *net.OpError
	if errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error") {
		return false // one end of TLS refuses the parameters of the other end
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return true
	}
	text := answerText(err)
	if strings.Contains(text, "unknown command") {
		return false
	}
	return slices.ContainsFunc(transientCodes, func(word string) bool { return strings.HasPrefix(text, word+" ") }) ||
		slices.ContainsFunc(topologyErrors, func(part string) bool { return strings.Contains(text, part) })
}

// isFull reports whether the memory of Redis is full.
func isFull(err error) bool { return hasCode(err, "OOM") }
