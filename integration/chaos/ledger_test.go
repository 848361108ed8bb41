// Package chaos runs flows of real processes and injects faults: workers, producers, gathers,
// connections and the server are killed, stopped and cut. Then it compares the ledgers of the
// processes with the promises.
package chaos

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An event is the kind of a record.
type event uint8

const (
	intended event = iota + 1 // a producer is about to send the item at Offset
	kept                      // the items below Offset are stored
	ended                     // a producer is about to end its source at Offset
	ran                       // a worker starts the function Stage for an item
	got                       // a gather's channel returned the result of an item
	failed                    // a gather's channel returned an error for an item
	lost                      // the error says that Redis has lost the item
	alien                     // a result matches no item
	closed                    // the channel was closed at the end of the stream
	broken                    // the stream ended early, with an error
	struck                    // the test injects a fault
)

// A record is one entry of a ledger.
type record struct {
	at     int64 // ns
	offset int64
	source uint16
	event  event
	stage  uint8
}

// recordSize divides the page size, so that a killed process leaves no partial record.
const recordSize = 32

// A book is the ledger of one process. Its records survive the process.
type book struct{ file *os.File }

func openBook(name string) (*book, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &book{f}, err
}

// write is safe for concurrent use.
func (b *book) write(r record) {
	var line [recordSize]byte
	binary.LittleEndian.PutUint64(line[0:], uint64(time.Now().UnixNano()))
	binary.LittleEndian.PutUint64(line[8:], uint64(r.offset))
	binary.LittleEndian.PutUint16(line[16:], r.source)
	line[18], line[19] = byte(r.event), r.stage
	if _, err := b.file.Write(line[:]); err != nil {
		panic(fmt.Errorf("what cannot be written down cannot be checked: %w", err))
	}
}

func parseBook(text []byte) []record {
	records := make([]record, 0, len(text)/recordSize)
	for line := range slices.Chunk(text, recordSize) {
		if len(line) < recordSize {
			break
		}
		records = append(records, record{
			at:     int64(binary.LittleEndian.Uint64(line[0:])),
			offset: int64(binary.LittleEndian.Uint64(line[8:])),
			source: binary.LittleEndian.Uint16(line[16:]), event: event(line[18]), stage: line[19],
		})
	}
	return records
}

// readBooks visits the ledgers of a folder by name, which is the order in which the processes
// started.
func readBooks(t *testing.T, folder string, visit func(name string, records []record)) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.ledger"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no ledgers in %s: %v", folder, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		visit(name, parseBook(text))
	}
}

// An item is a number that contains its source and its offset. Some items are long, so that their
// batches get payload keys.
const (
	longOnes = 100
	longness = 4 << 10
)

func item(source uint16, offset int64) string {
	return join(int64(source)<<40|offset, padding(offset))
}

func padding(offset int64) string {
	if offset%longOnes == 0 {
		return strings.Repeat(" ", longness)
	}
	return ""
}

func join(x int64, padding string) string { return strconv.FormatInt(x, 10) + padding }

// split is the inverse of join. An invalid text yields 0, which is no item.
func split(s string) (x int64, padding string) {
	number := strings.TrimRight(s, " ")
	x, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return 0, ""
	}
	return x, s[len(number):]
}

func origin(x int64) (source uint16, offset int64) {
	return uint16(x >> 40), x & (1<<40 - 1)
}

// The functions of the flow are invertible, so that a result proves its item.
func twiceAndOne(x int64) int64 { return 2*x + 1 }
func negative(x int64) int64    { return -x }

// proves inverts both functions. ok is false if the result matches no item.
func proves(result string) (source uint16, offset int64, ok bool) {
	x, rest := split(result)
	source, offset = origin((-x - 1) / 2)
	return source, offset, x < 0 && x%2 != 0 && rest == padding(offset)
}
