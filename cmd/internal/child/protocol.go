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

// The bounds of a line and a frame of a child, in bytes.
const (
	maxHeader = 1 << 20
	maxFrame  = 256 << 20
)

// A hello is the first line of a child.
type hello struct {
	V         int        `json:"v"`
	Functions []function `json:"functions"`
}

// A function describes a function of a child.
type function struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	InCodec  string `json:"in_codec"`
	Out      string `json:"out"`
	OutCodec string `json:"out_codec"`
	Max      int    `json:"max,omitempty"` // items of a call; 0: the worker chooses
}

// A request is the line before the frame of the items of a call.
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

// A reply is the line before the frame of the results.
type reply struct {
	Call  int64    `json:"call"`
	Items int      `json:"items"`
	Bytes int      `json:"bytes"`
	Error *failure `json:"error,omitempty"` // of the whole call; no frame follows
}

// A failure is the error of an item or of a call.
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
var errProtocol = errors.New("the child violates the protocol of docs/children.md; if it prints to its stdout: print to stderr")

// readLine reads a line of JSON.
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
		return fmt.Errorf("%w: %.200q is no line of JSON", errProtocol, line)
	}
	return nil
}

// readReply reads the results of a call of n items. failed is the error of the function: that of
// the whole call, or workers.Errors. err is the error of the child.
func readReply(r *bufio.Reader, call int64, n int) (results []codec.Item, failed, err error) {
	var head reply
	if err := readLine(r, &head); err != nil {
		return nil, nil, err
	}
	switch {
	case head.Call != call:
		return nil, nil, fmt.Errorf("%w: the reply is to call %d, not to call %d", errProtocol, head.Call, call)
	case head.Error != nil:
		return nil, head.Error.err(), nil
	case head.Items != n || head.Bytes < 1 || head.Bytes > maxFrame:
		return nil, nil, fmt.Errorf("%w: the reply has %d results in %d bytes for %d items", errProtocol, head.Items, head.Bytes, n)
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
