package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

var zstdJSON = workers.Zstd(workers.JSON(), 1<<10)

// texts are short and long ones, up to some 100 KiB.
func texts() (all []string) {
	for i := range 20 {
		var text strings.Builder
		for line := range i * i * 10 {
			fmt.Fprintf(&text, "%d. the item %d of order %d\n", line, i, 7919*line)
		}
		all = append(all, text.String())
	}
	return all
}

func TestLargeItemsTravelCompressed(t *testing.T) {
	upper := workers.Define("upper", func(_ context.Context, text string) (string, error) {
		if text == "" {
			return "", errors.New("it is empty")
		}
		return strings.ToUpper(text), nil
	}, workers.WithCodec(zstdJSON))
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		want := texts()
		q := stage(t, upper, scatter(t, ex, want, bridge.WithCodec(zstdJSON)))
		i := 0
		for got, err := range bridge.All(t.Context(), q) {
			if text := want[i]; got != strings.ToUpper(text) || bridge.IsItemError(err) != (text == "") {
				t.Errorf("%d: %d bytes came back as %d, %v", i, len(text), len(got), err)
			}
			i++
		}
		if i != len(want) {
			t.Errorf("%d results of %d", i, len(want))
		}
	}, upper)
}

func TestBothEndsHaveToCompress(t *testing.T) {
	plain := workers.Define("copy", func(_ context.Context, text string) (string, error) { return text, nil },
		workers.WithCodec(workers.JSON()))
	packed := workers.Remote[string, string]("copy", workers.WithCodec(zstdJSON))
	onBoth(t, func(t *testing.T, ex *executor.Executor) {
		q := scatter(t, ex, []string{"a"}, bridge.WithCodec(zstdJSON), bridge.Name("packed"), bridge.Seal())
		_, reading := executor.Map(t.Context(), plain, q)
		_, writing := executor.Map(t.Context(), packed, scatter(t, ex, []string{"a"}, bridge.WithCodec(workers.JSON())))
		_, worker := executor.Map(t.Context(), packed, scatter(t, ex, []string{"a"}, bridge.WithCodec(zstdJSON)))
		_, opened := executor.Open[string](t.Context(), ex, "packed")
		for i, err := range []error{reading, writing, worker, opened} {
			if !errors.Is(err, executor.ErrTypeMismatch) || !strings.Contains(err.Error(), "string (zstd+json)") {
				t.Errorf("%d: %v", i, err)
			}
		}
		_, none := bridge.Scatter(t.Context(), ex, make(chan string), bridge.WithCodec(workers.Zstd(nil, 0)))
		if none == nil || !strings.Contains(none.Error(), "Zstd got nil") {
			t.Errorf("got %v", none)
		}
		// Another threshold is no other format.
		q = must(executor.Open[string](t.Context(), ex, "packed", executor.WithCodec(workers.Zstd(workers.JSON(), 0))))(t)
		want(t, values(t, q), "a")
		if err := ex.Delete(t.Context(), "packed"); err != nil {
			t.Error(err)
		}
	}, plain)
}

func TestRedisHoldsFewerBytes(t *testing.T) {
	server, url := testkit.SharedRedis(t), namespace(t)
	raw := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
	defer raw.Close()
	_, ns, _ := strings.Cut(url, "?ns=")
	// held scatters the texts and tells the bytes of the payloads in Redis.
	held := func(c workers.Codec) (bytes int64) {
		ex := connect(t, url)
		q := scatter(t, ex, texts(), bridge.WithCodec(c))
		if err := ex.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, key := range testkit.Keys(t, server.URL(), "{"+ns+":0}:f:*") {
			bytes += raw.StrLen(t.Context(), key).Val()
		}
		want(t, values(t, q), texts()...)
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
		return bytes
	}
	plain, packed := held(workers.JSON()), held(zstdJSON)
	if packed == 0 || packed > plain/3 {
		t.Errorf("%d bytes compressed, %d plain", packed, plain)
	}
}
