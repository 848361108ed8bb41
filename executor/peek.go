package executor

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/codec"
)

// Limits of Peek.
const (
	peekItems   = 1000    // of a page
	peekBytes   = 8 << 20 // of the frames of a page, about
	peekEntries = 20      // of a round trip
	shownItem   = 4 << 10 // of the text of an item
)

// Peek reads at most count items of a queue, at most 1000, without taking them: first those that wait
// or that its consumer has read, then requeued, suspect and delayed ones. from is the position of the first
// item, from an earlier Page or Item; "" is the start of the queue. An item that has moved on since then is
// left out. A page has fewer items than count if they are in large batches. Each 20 batches cost two
// round trips. ErrQueueNotFound: there is no queue of that name. ErrClosed: the Executor was closed.
func (ex *Executor) Peek(ctx context.Context, queue, from string, count int) (inspect.Page, error) {
	if err := ex.check("peek"); err != nil {
		return inspect.Page{}, err
	}
	return ex.inspector.Peek(ctx, queue, from, count)
}

// Peek reads what Executor.Peek does.
func (i inspector) Peek(ctx context.Context, queue, from string, count int) (page inspect.Page, err error) {
	if count < 1 || count > peekItems {
		return inspect.Page{}, fmt.Errorf("peek: count %d: give a number from 1 to %d", count, peekItems)
	}
	at, err := parsePosition(from)
	if err != nil {
		return inspect.Page{}, fmt.Errorf("peek: %w", err)
	}
	ctx, end, err := i.tasks.begin(ctx, "peek")
	if err != nil {
		return inspect.Page{}, err
	}
	defer end(&err)
	part, q, err := i.parts[0].Find(ctx, queue)
	if err != nil {
		return inspect.Page{}, fmt.Errorf("peek: %w", err)
	}
	page = inspect.Page{Queue: q.Name, Type: q.Type, Codec: q.Codec, Items: []inspect.Item{}}
	p := peek{part: part, viewer: codec.NewViewer(q.Codec), count: count, page: &page}
	for _, kind := range broker.PeekOrder()[at.kind:] {
		if err := p.read(ctx, broker.StreamRef{Queue: queue, Kind: kind}, at); err != nil || page.Next != "" {
			return page, err
		}
		at = position{}
	}
	return page, nil
}

// A position is the place of an item in a queue. Its text is the letter of the stream, the id of the entry,
// and the number of the item there.
type position struct {
	kind  int // in broker.PeekOrder
	entry string
	index int
}

// streamLetters are those of the streams in broker.PeekOrder.
const streamLetters = "qrxl"

func (p position) String() string {
	return fmt.Sprintf("%c:%s:%d", streamLetters[p.kind], p.entry, p.index)
}

func parsePosition(text string) (p position, err error) {
	if text == "" {
		return position{}, nil
	}
	fields := strings.Split(text, ":")
	if len(fields) == 3 && len(fields[0]) == 1 {
		p.kind, p.entry = strings.Index(streamLetters, fields[0]), fields[1]
		ms, seq, found := strings.Cut(p.entry, "-")
		_, errMs := strconv.ParseUint(ms, 10, 64)
		_, errSeq := strconv.ParseUint(seq, 10, 64)
		index, errIndex := strconv.ParseUint(fields[2], 10, 31)
		if p.index = int(index); p.kind >= 0 && found && errMs == nil && errSeq == nil && errIndex == nil {
			return p, nil
		}
	}
	return position{}, fmt.Errorf("position %q: give one that an earlier call has returned", text)
}

// A peek fills a page.
type peek struct {
	part   *broker.Client
	viewer codec.Viewer
	count  int
	bytes  int // of the frames that were read
	page   *inspect.Page
}

// read adds the items of a stream to the page, from a position on. It sets Next if the page is full.
func (p *peek) read(ctx context.Context, at broker.StreamRef, from position) error {
	kind := slices.Index(broker.PeekOrder(), at.Kind)
	for {
		entries, err := p.part.Peek(ctx, at, from.entry, peekEntries)
		if err != nil {
			return fmt.Errorf("peek: %w", err)
		}
		for _, e := range entries {
			first := 0
			if e.Entry.ID == from.entry {
				first = from.index
			}
			if stopped := p.add(e, kind, first); stopped >= 0 {
				p.page.Next = position{kind, e.Entry.ID, stopped}.String()
				return nil
			}
		}
		if len(entries) < peekEntries {
			return nil
		}
		last := entries[len(entries)-1].Entry
		from = position{kind, last.ID, max(1, last.N)}
	}
}

// add adds the items of an entry from an index on. It returns the index of the first item that does not
// fit into the page, -1 if all do.
func (p *peek) add(e broker.Peeked, kind, first int) int {
	if p.bytes += e.Entry.Size; p.bytes > peekBytes && len(p.page.Items) > 0 {
		return first
	}
	item := inspect.Item{State: stateOfItem(e), Source: e.Entry.Source, Attempts: e.Entry.Attempts, Crashes: e.Entry.Crashes}
	var ms int64
	if _, err := fmt.Sscanf(e.Entry.ID, "%d-", &ms); err == nil {
		item.Since = time.UnixMilli(ms)
	}
	r := batch.Read(e.Entry.Frame)
	for index := range min(max(1, e.Entry.N), batch.MaxItems) {
		encoded, failed, ok := r.Next()
		if index < first {
			continue
		}
		if len(p.page.Items) == p.count {
			return index
		}
		item.Offset, item.Position = e.Entry.First+int64(index), position{kind, e.Entry.ID, index}.String()
		switch {
		case ok && !failed:
			item.Bytes = len(encoded)
			item.Form, item.Text, item.Cut = p.show(encoded)
		default:
			item.Bytes, item.Cut = len(encoded), false
			item.Form, item.Text = unread(e.Entry, encoded, failed)
			if item.Form == inspect.LargeForm {
				item.Bytes = e.Entry.Size
			}
		}
		p.page.Items = append(p.page.Items, item)
	}
	return -1
}

// unread returns the form and the text of an item without a value, or of one that was not read.
func unread(e broker.Entry, encoded []byte, failed bool) (form, text string) {
	switch {
	case failed:
		f := batch.ParseFailure(encoded)
		text = f.Code + ": " + f.Message
	case e.Lost != nil:
		text = e.Lost.Code + ": " + e.Lost.Message
	case e.Frame == nil && e.Size > broker.PeekPayload:
		return inspect.LargeForm, ""
	default:
		text = "the entry is not a valid batch"
	}
	text, _ = begin(text, shownItem)
	return inspect.FailureForm, text
}

// show returns the form and the text of an item, and whether the text is only its begin.
func (p *peek) show(encoded []byte) (form, text string, cut bool) {
	shown, isJSON, isText := p.viewer.View(encoded)
	switch {
	case !isText:
		room := min(len(shown), shownItem/4*3)
		return inspect.Base64Form, base64.StdEncoding.EncodeToString(shown[:room]), room < len(shown)
	case isJSON && len(shown) <= shownItem:
		return inspect.JSONForm, string(shown), false
	}
	text, cut = begin(string(shown), shownItem)
	return inspect.TextForm, text, cut
}

// begin returns the first bytes of a text, without a part of a character.
func begin(text string, most int) (short string, cut bool) {
	if len(text) <= most {
		return text, false
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return strings.Clone(text[:most]), true
}

// stateOfItem returns the state of the items of an entry.
func stateOfItem(e broker.Peeked) string {
	switch {
	case e.Entry.Kind != broker.Fresh && e.Entry.Kind != broker.Returned && e.Entry.Kind != broker.Suspect:
		return inspect.Delayed
	case e.Held:
		return inspect.Held
	case e.Entry.Kind == broker.Returned:
		return inspect.Requeued
	case e.Entry.Kind == broker.Suspect:
		return inspect.Suspect
	}
	return inspect.Waiting
}
