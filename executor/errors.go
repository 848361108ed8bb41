package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/producer"
)

// Errors for errors.Is.
var (
	// ErrInvalidURL says that an address has no form that is known.
	ErrInvalidURL = broker.ErrInvalidURL
	// ErrUnreachable says that no server answers at an address.
	ErrUnreachable = broker.ErrUnreachable
	// ErrUnusable says that the Redis at an address refuses in a way that waiting does not change:
	// a password, a permission, TLS, its version, or its kind. It is an ErrUnreachable too.
	ErrUnusable = broker.ErrUnusable
	// ErrDenied says that the Redis user lacks a permission; see docs/security.md.
	ErrDenied = broker.ErrDenied
	// ErrInvalidName says that a name cannot be one.
	ErrInvalidName = broker.ErrInvalidName
	// ErrPartitions says that the namespace has another number of partitions, or
	// that two queues of one call are in different partitions.
	ErrPartitions = broker.ErrPartitions
	// ErrVersion says that a queue has a format that this program does not know.
	ErrVersion = broker.ErrVersion
	// ErrQueueNotFound says that there is no queue of that name (any more).
	ErrQueueNotFound = broker.ErrQueueNotFound
	// ErrConsumerExists says that a queue has its one consumer already.
	ErrConsumerExists = broker.ErrConsumerExists
	// ErrStageExists says that a queue has a stage already, or that the out-queue of a
	// new stage belongs to another one. It is an ErrConsumerExists too.
	ErrStageExists = broker.ErrStageExists
	// ErrStageReplaced says that a queue gets no more items, since the stage before it was replaced by one
	// that adds to another queue, see ReplaceStage. The items that the queue held were delivered.
	ErrStageReplaced = broker.ErrStageReplaced
	// ErrSealed says that no further source can join a queue.
	ErrSealed = broker.ErrSealed
	// ErrFenced says that a successor has taken over.
	ErrFenced = broker.ErrFenced
	// ErrTruncated says that a scatter ended before its input did: its context ended,
	// or its Executor was closed. The items that it had sent were delivered.
	ErrTruncated = broker.ErrTruncated
	// ErrEnded says that a named source has ended: it takes no more items.
	ErrEnded = broker.ErrEnded
	// ErrLost says that an item is no longer in Redis, although it was stored.
	ErrLost = errors.New("lost in Redis")
	// ErrSourceOffline says that the process of a named source has died. The stream goes on
	// when another one scatters under its name.
	ErrSourceOffline = errors.New("the source is away")
	// ErrFull says that a scatter was given up since its queue was full, as its
	// policy wants it.
	ErrFull = broker.ErrFull
	// ErrDropped says that an item was dropped since there was no room for it, as
	// the policy of its scatter wants it.
	ErrDropped = errors.New("dropped")
	// ErrOutcomeUnknown says that a value may be stored or may not be: the caller has
	// stopped waiting while Redis had it.
	ErrOutcomeUnknown = producer.ErrOutcomeUnknown
	// ErrTypeMismatch says that the types of a queue, a function or a value do not fit, or that a codec cannot
	// carry a type. It is workers.ErrTypeMismatch.
	ErrTypeMismatch = codec.ErrTypeMismatch
	// ErrFunctionNotRegistered says that no worker can ever run a function: the broker
	// is embedded, and the function is not registered in this process.
	ErrFunctionNotRegistered = errors.New("the function is not registered")
	// ErrClosed says that the Executor or the Inspector was closed.
	ErrClosed = errors.New("the executor is closed")
	// ErrCanceled says that an item was canceled.
	ErrCanceled = errors.New("canceled")
)

// An EndedError is an ErrEnded: the input of a durable source was closed.
type EndedError struct {
	Source string
	Stored int64 // items that it has stored
}

// Error says what to do.
func (e *EndedError) Error() string {
	return fmt.Sprintf("%v: source %q has stored %d items, and its input was closed: scatter new items under another source name",
		ErrEnded, e.Source, e.Stored)
}

// Is reports whether target is ErrEnded.
func (e *EndedError) Is(target error) bool { return target == ErrEnded }

// An ItemError is why one item has no value. It comes in the item's place, and
// the stream goes on. Two codes are no item's: "cut" and "away" tell of a
// source of a queue that stays open.
type ItemError struct {
	// Code is what kind of failure it is: "error", "panic", "timeout",
	// "decode", "encode", "toolarge", "canceled", "crashed", "rejected", "lost", "cut" or
	// "away".
	Code string `json:"code"`
	// Message is the text of the error, cut to some KiB.
	Message string `json:"message"`
	// Stage is the queue that the failed stage writes to, Function its function
	// and Worker the one that ran it; empty where it failed before.
	Stage    string `json:"stage"`
	Function string `json:"function"`
	Worker   string `json:"worker"`
	// Attempts is how often the function was tried.
	Attempts int `json:"attempts"`
	// Stack is that of a panic, on the worker.
	Stack string `json:"stack,omitempty"`
	// Source and Offset name the item: the source that it belongs to, and its place there, 0 for the
	// first one. They are empty for a future and a value that was not stored.
	Source string `json:"source,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	// Input is the item as it was scattered, encoded, if bridge.KeepInput was given to Scatter and
	// to Gather; nil if not, and if the value could not be encoded. InputType is its type and codec,
	// such as "int (json)". See InputAs.
	Input     []byte `json:"input,omitempty"`
	InputType string `json:"input_type,omitempty"`
}

// InputAs returns the item, as it was scattered, that an error is about. It returns an error if there is
// no Input, and an ErrTypeMismatch if T is not the type of the first queue of the flow. c is the codec of that
// queue, as bridge.WithCodec had it; nil for the default one.
func InputAs[T any](err error, c codec.Codec) (v T, _ error) {
	var failed *ItemError
	if !errors.As(err, &failed) || failed == nil || failed.Input == nil {
		return v, errNoInput
	}
	typed, err := codec.For[T](c)
	if err != nil {
		return v, fmt.Errorf("input of an item: %w", err)
	}
	info, encoded := typed.Info(), codec.Info{}.String() // as programs scatter that know no type
	if info.String() != failed.InputType && failed.InputType != encoded && !info.Wildcard() {
		return v, fmt.Errorf("input of an item: %w: it is of type %s, not %s", ErrTypeMismatch, failed.InputType, info)
	}
	if v, err = typed.One(failed.Input); err != nil {
		return v, fmt.Errorf("input of an item: %w", err)
	}
	return v, nil
}

var errNoInput = errors.New("the error has no input of an item: give bridge.KeepInput to Scatter and to Gather")

// Error returns for example "fail: 3 is a multiple of 3".
func (e *ItemError) Error() string {
	if e == nil {
		return "<nil>"
	}
	if e.Function == "" {
		return e.Message
	}
	if e.Attempts > 1 {
		return fmt.Sprintf("%s: %s (%d attempts)", e.Function, e.Message, e.Attempts)
	}
	return e.Function + ": " + e.Message
}

// Is makes a remote timeout a context.DeadlineExceeded, a canceled item an
// ErrCanceled, a dropped one an ErrDropped and a lost one an ErrLost; what tells
// of a source is an ErrTruncated or an ErrSourceOffline.
func (e *ItemError) Is(target error) bool {
	if e == nil {
		return false
	}
	meant, known := meanings[e.Code]
	return known && target == meant
}

var meanings = map[string]error{
	batch.CodeTimeout: context.DeadlineExceeded, batch.CodeCanceled: ErrCanceled, batch.CodeLost: ErrLost,
	batch.CodeDropped: ErrDropped, batch.CodeCut: ErrTruncated, batch.CodeAway: ErrSourceOffline,
}

// newItemError returns the error of a failed item.
func newItemError(f batch.Failure) *ItemError {
	return &ItemError{
		Code: f.Code, Message: f.Message, Stage: f.Stage, Function: f.Function,
		Worker: f.Worker, Attempts: f.Attempts, Stack: f.Stack,
	}
}
