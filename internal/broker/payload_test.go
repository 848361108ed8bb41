package broker_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
)

// The id of a payload contains the size of its frame. For any announced size, the frame is read
// completely or reported as lost.
func TestFetchTrustsNoAnnouncedSize(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		frame := framed("s", 0, strings.Repeat("x", 10_000)).Frame
		size := len(frame)
		write := func(id string) broker.Entry {
			t.Helper()
			if err := c.Raw().Set(t.Context(), c.Key("f:"+id), frame, 0).Err(); err != nil {
				t.Fatal(err)
			}
			return broker.Entry{Payload: id, Size: broker.SizeIn(id)}
		}
		entries := []broker.Entry{
			write(fmt.Sprint(uuid.New(), ".", size)),
			write(uuid.NewString()), // of an older version
			write(fmt.Sprint(uuid.New(), ".", size-1)),
			write(fmt.Sprint(uuid.New(), ".", size+1)),
			write(fmt.Sprint(uuid.New(), ".", 1)),
			write(fmt.Sprint(uuid.New(), ".", 1<<40)),
			write(fmt.Sprint(uuid.New(), ".-7")),
			write("a.b.c"),
		}
		gone := len(entries)
		entries = append(entries, broker.Entry{Payload: fmt.Sprint(uuid.New(), ".", size), Size: size}, broker.Entry{Payload: "other.9", Size: 9})
		if err := c.Raw().SAdd(t.Context(), c.Key("f:other.9"), "a stranger's").Err(); err != nil {
			t.Fatal(err)
		}
		var memory batch.Memory
		if err := c.Fetch(t.Context(), &memory, entries); err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			if i >= gone {
				if e.Lost == nil || e.Lost.Code != batch.CodeLost || e.Frame != nil {
					t.Errorf("%s: %d bytes, lost %v", e.Payload, len(e.Frame), e.Lost)
				}
				continue
			}
			if e.Lost != nil || e.Size != size || !bytes.Equal(e.Frame, frame) {
				t.Errorf("%s: %d bytes of %d, size %d, lost %v", e.Payload, len(e.Frame), size, e.Size, e.Lost)
			}
		}
	})
}

func TestFetchReusesMemory(t *testing.T) {
	onBoth(t, func(t *testing.T, c *broker.Client) {
		f := makeFlow(t, c, 0)
		scattered := []broker.Parcel{{Batch: framed("s1", 0, large(0))}, {Batch: framed("s1", 1, large(1))}}
		if _, err := c.Scatter(t.Context(), f.source, "x1", broker.Window{}, scattered); err != nil {
			t.Fatal(err)
		}
		taken := must[[]broker.Taken](t)(c.Take(t.Context(), "w1", 10, 1, f.routes()))
		var memory batch.Memory
		spare := make([]byte, 6000)
		memory.Put(spare)
		entries := taken[0].Entries
		if err := c.Fetch(t.Context(), &memory, entries); err != nil {
			t.Fatal(err)
		}
		used := 0
		for i, e := range entries {
			if got := texts(e.Batch); len(got) != 1 || got[0] != large(i) {
				t.Errorf("entry %d has %d items", i, len(got))
			}
			if &e.Frame[0] == &spare[0] {
				used++
			}
		}
		if used != 1 {
			t.Errorf("%d of two frames are in the memory of another one", used)
		}
	})
}
