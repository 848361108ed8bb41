package executor

import (
	"context"
	"errors"
	"fmt"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/internal/producer"
	"github.com/dqbridge/dqbridge/workers"
)

// ErrInvalidURL says that an address has none of the forms that New knows.
var ErrInvalidURL = broker.ErrInvalidURL

// ErrUnreachable says that no server answers at an address.
var ErrUnreachable = broker.ErrUnreachable

// ErrUnusable says that the Redis at an address refuses in a way that waiting does not change: a
// password, a permission, TLS, its version, or its kind. It is an ErrUnreachable too.
var ErrUnusable = broker.ErrUnusable

// ErrDenied says that the Redis user lacks a permission; see docs/security.md.
var ErrDenied = broker.ErrDenied

// ErrInvalidName says that a name of a queue or a source does not consist of 1 to 64 of the
// characters A-Z a-z 0-9 . _ -
var ErrInvalidName = broker.ErrInvalidName

// ErrPartitions says that the namespace has another number of partitions, or that two queues of one
// call are in different partitions.
var ErrPartitions = broker.ErrPartitions

// ErrQueueNotFound says that there is no queue of a name, or that the queue was deleted.
var ErrQueueNotFound = broker.ErrQueueNotFound

// ErrConsumerExists says that a queue has its one consumer already.
var ErrConsumerExists = broker.ErrConsumerExists

// ErrStageExists says that a queue has a stage already, or that the out-queue of a new stage
// belongs to another stage. It is an ErrConsumerExists too.
var ErrStageExists = broker.ErrStageExists

// ErrStageReplaced says that a queue gets no more items, since the stage before it was replaced by
// one that adds to another queue, see ReplaceStage. The items that the queue held were delivered.
var ErrStageReplaced = broker.ErrStageReplaced

// ErrSealed says that no further source can join a queue.
var ErrSealed = broker.ErrSealed

// ErrFenced says that a successor has taken over a source or a queue, or that the lease ran out.
var ErrFenced = broker.ErrFenced

// ErrTruncated says that a scatter ended before its input did: its context ended, or its Executor
// was closed. The items that it had stored were delivered.
var ErrTruncated = broker.ErrTruncated

// ErrLost says that Redis has lost an item that it had stored, or a queue with all data of its
// partition: its server restarted without persistence, or a master of a Cluster died without a
// replica. The second one is an ErrQueueNotFound too.
var ErrLost = broker.ErrLost

// ErrSourceOffline says that the process of a durable source has died. The stream goes on when
// another process scatters under the name of the source.
var ErrSourceOffline = errors.New("the source is away")

// ErrFull says that a scatter was aborted since its queue was full, as its overflow policy demands.
var ErrFull = broker.ErrFull

// ErrDropped says that an item was dropped since its queue was full, as the overflow policy of its
// scatter demands.
var ErrDropped = errors.New("dropped")

// ErrOutcomeUnknown says that a value may be stored or may not be: the caller stopped waiting
// before Redis answered.
var ErrOutcomeUnknown = producer.ErrOutcomeUnknown

// ErrTypeMismatch says that the types of a queue, a function or a value differ, or that a codec
// cannot carry values of a type without losing something. The text names the field.
var ErrTypeMismatch = codec.ErrTypeMismatch

// ErrFunctionNotRegistered says that no worker can ever run a function: the broker is embedded, and
// the function is not registered in this process.
var ErrFunctionNotRegistered = errors.New("the function is not registered")

// ErrClosed says that the Executor or the Inspector was closed.
var ErrClosed = errors.New("the executor is closed")

// ErrCanceled says that an item was canceled, see Future.Cancel.
var ErrCanceled = errors.New("canceled")

// ErrDeadLetterNotFound says that there is no dead letter of an id, or that it was deleted.
var ErrDeadLetterNotFound = broker.ErrDeadLetterNotFound

// An EndedError says that the input of a durable source was closed, so that the source takes no
// more items: see bridge.DurableSource.
type EndedError struct {
	Source string
	Stored int64 // number of items that it has stored
}

// Error names the source and the number of its stored items, and says what to do.
func (e *EndedError) Error() string {
	return fmt.Sprintf("%v: source %q has stored %d items, and its input was closed: scatter new items under another source name",
		broker.ErrEnded, e.Source, e.Stored)
}

// An ItemError is the reason why one item has no value. It stands in the place of the item, and the
// stream goes on. Two codes are not about an item: "cut" and "away" are about a source of a queue
// that stays open.
type ItemError struct {
	// Code is the kind of the failure: "error", "panic", "timeout", "decode", "encode", "toolarge",
	// "canceled", "crashed", "rejected", "lost", "dropped", "cut" or "away".
	Code string `json:"code"`
	// Message is the text of the error, cut to a few KiB.
	Message string `json:"message"`
	// Stage is the queue that the failed stage adds to, Function its function, and Worker the
	// worker that ran it. They are empty for an item that failed before a function was called.
	Stage    string `json:"stage"`
	Function string `json:"function"`
	Worker   string `json:"worker"`
	// Attempts is the number of calls of the function for the item.
	Attempts int `json:"attempts"`
	// Stack is the stack of a panic on the worker.
	Stack string `json:"stack,omitempty"`
	// Source and Offset name the item: its source, and its place there, 0 for the first item. They
	// are empty for a future, and for a value that was not stored.
	Source string `json:"source,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	// Input is the item as it was scattered, encoded, if bridge.KeepInput was given to Scatter and
	// to Gather. Otherwise, and for a value that could not be encoded, it is nil. InputType is the
	// type and the codec of Input, such as "int (json)". InputAs decodes Input.
	Input     []byte `json:"input,omitempty"`
	InputType string `json:"input_type,omitempty"`
}

// InputAs returns the item that an error is about, as it was scattered: give bridge.KeepInput to
// Scatter and to Gather. c is the codec of the first queue of the flow, as given to
// bridge.WithCodec; nil is the default codec. Errors: one that says so if err has no input, and
// ErrTypeMismatch if T is not the type of the first queue of the flow.
func InputAs[T any](err error, c workers.Codec) (v T, _ error) {
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

// Error returns for example "fail: 3 is a multiple of 3": the function and the message, and the
// number of attempts if there were several.
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

// Is reports whether the code of the error stands for target: "timeout" for
// context.DeadlineExceeded, "canceled" for ErrCanceled, "dropped" for ErrDropped, "lost" for
// ErrLost, "cut" for ErrTruncated, "away" for ErrSourceOffline.
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
