package child

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/codec"
	"github.com/dqbridge/dqbridge/workers"
)

// version is the version of the protocol.
const version = 1

// Limits for the output of a child, in bytes.
const (
	maxHeader = 1 << 20
	maxFrame  = 256 << 20
)

// A hello is the first line of a child.
type hello struct {
	V         int        `json:"v"`
	Functions []function `json:"functions"`
}

// A function is a function of a child.
type function struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	InCodec  string `json:"in_codec"`
	Out      string `json:"out"`
	OutCodec string `json:"out_codec"`
	Max      int    `json:"max,omitempty"` // items of a call; 0: the worker decides
}

// A request is the line before the frame with the items of a call.
type request struct {
	Call     int64  `json:"call"`
	Function string `json:"function"`
	Items    int    `json:"items"`
	Bytes    int    `json:"bytes"`
	Queue    string `json:"queue,omitempty"`
	Source   string `json:"source,omitempty"`
	Offset   int64  `json:"offset"`
	Attempt  int    `json:"attempt,omitempty"`
	Deadline int64  `json:"deadline,omitempty"` // Unix time in ms
}

// A reply is the line before the frame with the results.
type reply struct {
	Call  int64    `json:"call"`
	Items int      `json:"items"`
	Bytes int      `json:"bytes"`
	Error *failure `json:"error,omitempty"` // of the whole call; then no frame follows
}

// A failure explains why an item has no result.
type failure struct {
	Message     string `json:"message"`
	Permanent   bool   `json:"permanent,omitempty"`
	Unavailable bool   `json:"unavailable,omitempty"`
	RetryAfter  int64  `json:"retry_after,omitempty"` // ms
}

func (f failure) err() error {
	err := errors.New(f.Message)
	switch {
	case f.Permanent:
		return workers.Permanent(err)
	case f.Unavailable:
		return workers.Unavailable(err)
	case f.RetryAfter > 0:
		return workers.RetryAfter(err, time.Duration(f.RetryAfter)*time.Millisecond)
	}
	return err
}

// errProtocol is the error of a child that violates the protocol.
var errProtocol = errors.New("the child violates docs/children.md; it may have printed to its stdout: print to stderr")

// readLine reads one line of JSON.
func readLine(r *bufio.Reader, into any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxHeader {
			return fmt.Errorf("%w: a line has more than %d bytes", errProtocol, maxHeader)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return err
		}
		break
	}
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("%w: %.200q instead of a line of JSON", errProtocol, line)
	}
	return nil
}

// readReply reads the results of a call of n items. failed is an error of the function: a
// workers.Errors, or the error of the whole call. err is an error of the child.
func readReply(r *bufio.Reader, call int64, n int) (results []codec.Item, failed, err error) {
	var head reply
	if err := readLine(r, &head); err != nil {
		return nil, nil, err
	}
	switch {
	case head.Call != call:
		return nil, nil, fmt.Errorf("%w: a reply to call %d instead of call %d", errProtocol, head.Call, call)
	case head.Error != nil:
		return nil, head.Error.err(), nil
	case head.Items != n || head.Bytes < 1 || head.Bytes > maxFrame:
		return nil, nil, fmt.Errorf("%w: %d results in %d bytes for %d items", errProtocol, head.Items, head.Bytes, n)
	}
	frame := make([]byte, head.Bytes)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, nil, err
	}
	results, some := make([]codec.Item, 0, n), workers.Errors{}
	items := batch.Read(frame)
	for item, bad, ok := items.Next(); ok; item, bad, ok = items.Next() {
		if bad {
			var f failure
			if json.Unmarshal(item, &f) != nil {
				f = failure{Message: string(item)}
			}
			some[len(results)], item = f.err(), nil
		}
		results = append(results, item)
	}
	if err := items.Err(); err != nil {
		return nil, nil, fmt.Errorf("%w: the frame of the results ends after %d: %w", errProtocol, len(results), err)
	}
	if len(results) != n {
		return nil, nil, fmt.Errorf("%w: the frame has %d results for %d items", errProtocol, len(results), n)
	}
	if len(some) > 0 {
		return results, some, nil
	}
	return results, nil, nil
}
