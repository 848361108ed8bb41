package integration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/internal/batch"
	"github.com/dqbridge/dqbridge/internal/broker"
	"github.com/dqbridge/dqbridge/internal/consumer"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// numbers returns a server with the queue numbers, which has the entry of the page, its stage and
// its worker.
func numbers(t *testing.T) (*broker.Client, *redis.Client, broker.Queue) {
	t.Helper()
	server := testkit.StartRedis(t)
	c, err := broker.Open(server.URL(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	raw := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
	t.Cleanup(func() {
		_ = c.Close()
		_ = raw.Close()
	})
	q, _, err := c.Declare(t.Context(), broker.Queue{Name: "numbers", Codec: "json", Type: "int"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = c.Source(t.Context(), "s-1", q, 1); err == nil {
		err = c.Join(t.Context(), broker.RoleWorker, "w-1", map[string]string{"host": "here"})
	}
	if err != nil {
		t.Fatal(err)
	}
	run(t, raw, example(t, "redis entry"))
	return c, raw, q
}

var word = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

// run runs a line like redis-cli.
func run(t *testing.T, raw *redis.Client, line string) any {
	t.Helper()
	var args []any
	for _, w := range word.FindAllString(line, -1) {
		if strings.HasPrefix(w, `"`) {
			text, err := strconv.Unquote(w)
			if err != nil {
				t.Fatalf("%s: %v", w, err)
			}
			w = text
		}
		args = append(args, w)
	}
	reply, err := raw.Do(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return reply
}

func TestProtocolEntry(t *testing.T) {
	t.Parallel()
	c, _, _ := numbers(t)
	taken, err := c.Take(t.Context(), "w-1", 10, 1, []broker.Route{{In: "numbers"}})
	if err != nil || len(taken[0].Entries) != 1 {
		t.Fatal(taken, err)
	}
	e := taken[0].Entries[0]
	if err := e.Check(); err != nil || e.Source != "s-1" || e.First != 4 || e.End() != 6 || e.Crashes != 0 {
		t.Errorf("the entry is %+v, %v", e, err)
	}
	r := batch.Read(e.Frame)
	one, _, _ := r.Next()
	two, _, _ := r.Next()
	if string(one) != "1" || string(two) != "22" {
		t.Errorf("the items are %q and %q", one, two)
	}
}

// A receiver starts from the delivered mark of the page and must return exactly the other items.
func TestProtocolMark(t *testing.T) {
	t.Parallel()
	c, raw, q := numbers(t)
	if err := errors.Join(raw.HSet(t.Context(), "{dq:0}:d:numbers", "s-2", example(t, "text mark")).Err(), raw.HSet(t.Context(), "{dq:0}:m:numbers", "sealed", 0).Err()); err != nil {
		t.Fatal(err)
	}
	s, _, err := c.Source(t.Context(), "s-2", q, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b batch.Builder
	for at := range 14 {
		b.Value([]byte(strconv.Itoa(at)))
	}
	if _, err := c.Scatter(t.Context(), s, "x", broker.Window{}, []broker.Parcel{{Batch: batch.Batch{Source: "s-2", N: 14, Frame: b.Take()}}}); err != nil {
		t.Fatal(err)
	}
	r, err := consumer.Receive(t.Context(), c, "numbers", consumer.ReceiverOptions{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var got []string
	for len(got) < 6 {
		p, ok := <-r.Pieces()
		if !ok {
			t.Fatalf("it ends after %q: %v", got, <-done)
		}
		r := p.Reader()
		for range p.Len() {
			item, _, _ := r.Next()
			got = append(got, string(item))
		}
	}
	r.Left()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if want := []string{"5", "6", "9", "10", "11", "13"}; !slices.Equal(got, want) {
		t.Errorf("not delivered were %q", got)
	}
}

func TestProtocolLook(t *testing.T) {
	t.Parallel()
	c, raw, q := numbers(t)
	err := c.Stage(t.Context(), broker.Stage{ID: "doubles", Kind: broker.KindMap, Function: "double", Ins: []broker.Queue{q}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Take(t.Context(), "w-1", 1, 1, []broker.Route{{In: "numbers"}}); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(example(t, "redis look"), "\n") {
		reply := run(t, raw, line)
		if list, ok := reply.([]any); !ok || len(list) == 0 && !strings.Contains(line, ":r:") {
			t.Errorf("%s shows %v", line, reply)
		}
	}
	if held := fmt.Sprint(run(t, raw, "XPENDING {dq:0}:q:numbers w - + 10")); !strings.Contains(held, "w-1") {
		t.Errorf("XPENDING does not show who holds what: %s", held)
	}
}

// Every field that a flow writes to hashes and entries is in the tables.
func TestProtocolFields(t *testing.T) {
	t.Parallel()
	c, raw, q := numbers(t)
	s, _, err := c.Source(t.Context(), "s-1", q, 0, broker.KeepInputs("int (json)"))
	if err != nil {
		t.Fatal(err)
	}
	lost := batch.Batch{Source: "s-1", First: 3, N: 1, Lost: &batch.Failure{Code: batch.CodeLost}}
	large := batch.Batch{Source: "s-1", First: 4, N: 1, Frame: append([]byte{1, 0xf0, 0x2e}, make([]byte, 3000)...)}
	if _, err := c.Scatter(t.Context(), s, "x", broker.Window{Items: 5}, []broker.Parcel{{Batch: lost}, {Batch: large}}); err != nil {
		t.Fatal(err)
	}
	g, err := c.Consume(t.Context(), "g", "x", "numbers")
	if err == nil {
		_, err = c.Ack(t.Context(), g, nil, []broker.Mark{{Source: "s-1", Delivered: "0"}}, 0, func(string) string { return "numbers" })
	}
	for _, policy := range []broker.OverflowPolicy{broker.OverflowBlock, broker.OverflowDropNewest} {
		if s.Overflow = policy; err == nil {
			_, err = c.Scatter(t.Context(), s, "x", broker.Window{Items: 5}, []broker.Parcel{{Batch: batch.Batch{Source: "s-1", First: 5, N: 1, Frame: []byte{1, 0}}}})
		}
	}
	if err == nil {
		err = c.LimitBatches(t.Context(), []string{"numbers"}, 10)
	}
	if err == nil {
		feed, _, failed := c.Declare(t.Context(), broker.Queue{Name: "feed"})
		err = errors.Join(failed, c.Stage(t.Context(), broker.Stage{ID: "count", Kind: broker.KindMap, Ins: []broker.Queue{feed}, Outs: []broker.Out{{Queue: q}}}))
	}
	if err == nil {
		err = c.Abandon(t.Context(), s, "why")
	}
	if err != nil {
		t.Fatal(err)
	}
	meta := slices.Collect(maps.Keys(raw.HGetAll(t.Context(), "{dq:0}:m:numbers").Val()))
	for i, field := range meta {
		meta[i] = strings.NewReplacer("s:count", "s:<stage>").Replace(field)
	}
	same(t, "fields of the meta", column(t, "field of `m:<queue>`"), append(meta, "cost", "dying", "fused", "leaves", "held", "leftout", "limits", "replaced", "tat", "turn", "ring", "revision", "expires", "unused"))
	source := slices.Collect(maps.Keys(raw.HGetAll(t.Context(), "{dq:0}:s:s-1").Val()))
	for i, field := range source {
		source[i] = strings.Replace(field, "g:numbers", "g:<leaf>", 1)
	}
	same(t, "fields of a source", column(t, "field of `s:<source>`"), append(source, "named", "away", "held"))
	fields := map[string]bool{}
	for _, m := range raw.XRange(t.Context(), "{dq:0}:q:numbers", "-", "+").Val() {
		for field := range m.Values {
			fields[field] = true
		}
	}
	_, entries, _ := strings.Cut(protocol(t), "\n## Entries")
	for field := range fields {
		if !strings.Contains(entries, "\n| `"+field+"` |") {
			t.Errorf("the field %s of an entry is not documented", field)
		}
	}
	if len(fields) != 11 {
		t.Errorf("the fields of entries are %v", fields)
	}
}
