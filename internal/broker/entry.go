package broker

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"github.com/google/uuid"

	"github.com/dqbridge/dqbridge/internal/batch"
)

// inlineMax is the size in bytes above which a frame travels in a key of its own, written by a
// plain SET: a script costs 1.5 us for each KiB that passes through it.
const inlineMax = 2 << 10

// payloadTTL is the lifetime of a payload key until a script commits it.
const payloadTTL = 10 * time.Minute

// A Ref identifies an entry: its stream and its id there. Two streams may use the same id.
type Ref struct {
	Queue string
	Kind  StreamKind
	ID    string
}

// Stream returns the stream of the entry.
func (r Ref) Stream() StreamRef { return StreamRef{r.Queue, r.Kind} }

// An Entry is a batch in a stream of a queue. Its consumer owns the batch's range of offsets.
type Entry struct {
	batch.Batch
	Ref
	Attempts int    // failed calls of the function, for each of the items
	Crashes  int    // workers that died while they held the entry
	Stamp    string // when its items were scattered, see Scattered, and their trace, see Trace
	Failed   string // worker whose failed attempt this entry retries; "": none, or that worker has requeued it
	Payload  string // id of the key that holds the frame; "": the frame is inline
	Size     int    // bytes of the frame, known before the frame is read
	Total    int    // number of items
}

func entryOf(at StreamRef, raw list) Entry {
	e := Entry{Ref: Ref{at.Queue, at.Kind, raw.text(0)}}
	e.Stamp, _, _ = strings.Cut(e.ID, "-") // of an entry without one
	fields := raw.list(1)
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields.text(i) {
		case "s":
			e.Source = fields.text(i + 1)
		case "o":
			e.First = fields.number(i + 1)
		case "n":
			e.N = int(fields.number(i + 1))
			e.Total = e.N
		case "i":
			e.Total = int(fields.number(i + 1))
		case "a":
			e.Attempts = int(fields.number(i + 1))
		case "k":
			e.Crashes = int(fields.number(i + 1))
		case "t":
			e.Stamp = fields.text(i + 1)
		case "w":
			e.Failed = fields.text(i + 1)
		case "p":
			e.Frame = frameOf(fields.text(i + 1))
			e.Size = len(e.Frame)
		case "f":
			e.Payload = fields.text(i + 1)
			e.Size = sizeIn(e.Payload)
		case "e":
			lost := batch.ParseFailure([]byte(fields.text(i + 1)))
			e.Lost = &lost
		}
	}
	return e
}

// Scattered returns when the items of the entry were scattered, by the clock of Redis. It is zero if
// that is not known.
func (e Entry) Scattered() time.Time {
	at, _, _ := strings.Cut(e.Stamp, " ")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Trace returns the trace of the items of the entry as their scatter gave it, "" if it gave none.
func (e Entry) Trace() string {
	_, trace, _ := strings.Cut(e.Stamp, " ")
	return trace
}

func entriesOf(at StreamRef, raw list) []Entry {
	entries := make([]Entry, len(raw))
	for i := range raw {
		entries[i] = entryOf(at, raw.list(i))
	}
	return entries
}

// sizeIn returns the size of a frame that is part of its payload id, or 0 if the id has none.
func sizeIn(id string) int {
	_, text, _ := strings.Cut(id, ".")
	size, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(0, size)
}

// frameOf returns the memory of a reply's string as a frame, without a copy. The string has no
// other reference, and frames are never written into.
func frameOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// encode encodes a batch for the scripts: as a failure, an inline frame or a payload of its own.
func (c *Client) encode(b batch.Batch, payloads []payload) (kind string, data any, _ []payload) {
	switch {
	case b.Lost != nil:
		return "e", b.Lost.Append(nil), payloads
	case len(b.Frame) <= inlineMax:
		return "p", b.Frame, payloads
	default:
		id := fmt.Sprint(uuid.New(), ".", len(b.Frame))
		return "f", id, append(payloads, payload{c.keys.payload(id), b.Frame})
	}
}

// encodeInline is encode without payload keys. It is used if the memory of Redis is full: SET is
// refused then, but a script may still add what it first removes.
func encodeInline(b batch.Batch, payloads []payload) (kind string, data any, _ []payload) {
	if b.Lost != nil {
		return "e", b.Lost.Append(nil), payloads
	}
	return "p", b.Frame, payloads
}

func payloadKeys(keys []string, payloads []payload) []string {
	for _, p := range payloads {
		keys = append(keys, p.key)
	}
	return keys
}

// checkStatus turns the status of a refused script into an error.
func checkStatus(what, status string) error {
	switch status {
	case "gone":
		return fmt.Errorf("%s: %w", what, ErrQueueNotFound)
	case "fenced":
		return fmt.Errorf("%s: %w", what, ErrFenced)
	case "":
		return fmt.Errorf("%s: unexpected reply from Redis", what)
	}
	if strings.HasPrefix(status, "ERR ") {
		return fmt.Errorf("%s: %s", what, status)
	}
	return nil
}
