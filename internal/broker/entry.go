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

// A frame above inlineMax bytes travels in a key of its own, which a plain SET
// writes: a script costs 1.5 us for a KiB that passes through it.
const inlineMax = 2 << 10

// payloadTTL is how long a payload key waits for the script that commits it.
const payloadTTL = 10 * time.Minute

// A Ref is where an entry stands: ids are those of one stream, and two streams
// have the same ones.
type Ref struct {
	StreamRef
	ID string
}

// An Entry is a batch as it stands in a queue. Its reader owns the range.
type Entry struct {
	batch.Batch
	Ref
	Attempts int    // calls of the function that failed, for each of its items
	Crashes  int    // workers that died with it
	Failed   string // worker whose attempt this is a retry of; "": none, or that worker has put it back
	Payload  string // id of the key that its frame is in, "" where it is inline
	Size     int    // bytes of the frame, also before it is fetched
}

func entryOf(at StreamRef, raw list) Entry {
	e := Entry{Ref: Ref{at, raw.text(0)}}
	fields := raw.list(1)
	for i := 0; i+1 < len(fields); i += 2 {
		switch fields.text(i) {
		case "s":
			e.Source = fields.text(i + 1)
		case "o":
			e.First = fields.number(i + 1)
		case "n":
			e.N = int(fields.number(i + 1))
		case "a":
			e.Attempts = int(fields.number(i + 1))
		case "k":
			e.Crashes = int(fields.number(i + 1))
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

func entriesOf(at StreamRef, raw list) []Entry {
	entries := make([]Entry, len(raw))
	for i := range raw {
		entries[i] = entryOf(at, raw.list(i))
	}
	return entries
}

// sizeIn is the bytes of a frame as the id of its key has them, 0 where it has none.
func sizeIn(id string) int {
	_, text, _ := strings.Cut(id, ".")
	size, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return max(0, size)
}

// frameOf is the memory of a text of a reply, which nobody else refers to. Frames
// are not written into, as texts are not.
func frameOf(text string) []byte { return unsafe.Slice(unsafe.StringData(text), len(text)) }

// part is a batch as the scripts take it.
func (c *Client) part(b batch.Batch, payloads []payload) (kind string, data any, _ []payload) {
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

// inlined is part where the memory is full and no key of a payload can be
// written: a script that takes something out first may still add.
func inlined(b batch.Batch, payloads []payload) (kind string, data any, _ []payload) {
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

// checkStatus turns the words of refusals into errors.
func checkStatus(what, status string) error {
	switch status {
	case "gone":
		return fmt.Errorf("%s: %w", what, ErrQueueNotFound)
	case "fenced":
		return fmt.Errorf("%s: %w", what, ErrFenced)
	case "":
		return fmt.Errorf("%s: Redis answers what no script of this version does", what)
	}
	if strings.HasPrefix(status, "ERR ") {
		return fmt.Errorf("%s: %s", what, status)
	}
	return nil
}
