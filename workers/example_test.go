package workers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/workers"
)

// A worker and its caller are two programs in practice. Here both are in this
// one, with a small Redis between them.
func ExampleNew() {
	redis, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer redis.Close()
	redisURL := "redis://" + redis.Addr()

	// The worker.
	ctx, stop := context.WithCancel(context.Background())
	length := workers.Define("length", func(_ context.Context, text string) (int, error) { return len(text), nil })
	w, err := workers.New(redisURL, workers.Concurrency(8), workers.Functions(length))
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()

	// The caller.
	ex, err := executor.New(ctx, redisURL)
	if err != nil {
		log.Fatal(err)
	}
	future, err := executor.Submit(ctx, ex, length, "seven")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(future.Result(ctx))
	fmt.Println(ex.Close())

	stop() // the worker drains, and Run returns
	fmt.Println(<-ended)
	// Output:
	// 5 <nil>
	// <nil>
	// <nil>
}

// A middleware logs each call with its error and its time. Values have no part in it, so it is the
// same for all functions.
func ExampleUse() {
	redis, err := miniredis.Run()
	if err != nil {
		log.Fatal(err)
	}
	defer redis.Close()
	redisURL := "redis://" + redis.Addr()

	logged := func(next workers.Handler) workers.Handler {
		return func(ctx context.Context, call workers.Call) error {
			begin := time.Now()
			err := next(ctx, call)
			fmt.Println(call.Function, call.Offset, call.Attempt, err, time.Since(begin) < time.Minute)
			return err
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	parse := workers.Define("parse", func(_ context.Context, text string) (float64, error) {
		if text == "" {
			return 0, workers.Permanent(errors.New("empty"))
		}
		return strconv.ParseFloat(text, 64)
	})
	w, err := workers.New(redisURL, workers.Functions(parse), workers.Use(logged))
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()

	ex, err := executor.New(ctx, redisURL)
	if err != nil {
		log.Fatal(err)
	}
	for _, text := range []string{"1.5", ""} {
		future, err := executor.Submit(ctx, ex, parse, text)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(future.Result(ctx))
	}
	fmt.Println(ex.Close())
	stop()
	fmt.Println(<-ended)
	// Output:
	// parse 0 1 <nil> true
	// 1.5 <nil>
	// parse 1 1 empty true
	// 0 parse: empty
	// <nil>
	// <nil>
}

// A handle is enough if another program has the function.
func ExampleRemote() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	// This worker stands for one on another machine.
	err = ex.Register(workers.Define("length", func(_ context.Context, text string) (int, error) { return len(text), nil }))
	if err != nil {
		log.Fatal(err)
	}

	length := workers.Remote[string, int]("length")
	futures, err := executor.MapSlice(ctx, ex, length, []string{"a", "bc", ""})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(executor.GatherSlice(ctx, futures))

	// The types have to be those of the definition.
	_, err = executor.Submit(ctx, ex, workers.Remote[string, string]("length"), "a")
	fmt.Println(err != nil)
	// Output:
	// [1 2 0] <nil>
	// true
}

func ExampleDefine2() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	repeat := workers.Define2("repeat", func(_ context.Context, text string, n int) (string, error) {
		return strings.Repeat(text, n), nil
	})
	if err := ex.Register(repeat); err != nil {
		log.Fatal(err)
	}
	texts, err := bridge.ScatterSeq(ctx, ex, slices.Values([]string{"ab", "c"}))
	if err != nil {
		log.Fatal(err)
	}
	counts, err := bridge.ScatterSeq(ctx, ex, slices.Values([]int{2, 3}))
	if err != nil {
		log.Fatal(err)
	}
	repeated, err := executor.Map2(ctx, repeat, texts, counts)
	if err != nil {
		log.Fatal(err)
	}
	for v, err := range bridge.All(ctx, repeated) {
		fmt.Println(v, err)
	}
	// Output:
	// abab <nil>
	// ccc <nil>
}

func ExampleDefine() {
	parse := workers.Define("parse", func(_ context.Context, text string) (int, error) {
		return strconv.Atoi(strings.TrimSpace(text))
	})
	fmt.Println(parse.Name(), parse.Err())

	events := workers.Define("events", func(_ context.Context, n int) (chan int, error) {
		return make(chan int, n), nil
	})
	fmt.Println(events.Err())
	// Output:
	// parse <nil>
	// function "events": its output: types do not fit: type chan int: JSON cannot encode chan int: use a type of plain data, or a codec that can
}

func ExampleZstd() {
	ctx := context.Background()
	ex, err := executor.New(ctx, "")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	// Texts of more than 4 KiB travel compressed, short ones as they are.
	compressed := workers.Zstd(workers.Raw(), 4<<10)
	twice := workers.Define("twice", func(_ context.Context, text string) (string, error) {
		return text + text, nil
	}, workers.WithCodec(compressed))
	if err := ex.Register(twice); err != nil {
		log.Fatal(err)
	}
	texts := slices.Values([]string{"short", strings.Repeat("long ", 20_000)})
	queue, err := bridge.ScatterSeq(ctx, ex, texts, bridge.WithCodec(compressed))
	if err != nil {
		log.Fatal(err)
	}
	doubled, err := executor.Map(ctx, twice, queue)
	if err != nil {
		log.Fatal(err)
	}
	for text, err := range bridge.All(ctx, doubled) {
		fmt.Println(len(text), err)
	}

	// The other end has to know.
	queue, err = bridge.ScatterSeq(ctx, ex, texts)
	if err != nil {
		log.Fatal(err)
	}
	_, err = executor.Map(ctx, twice, queue)
	fmt.Println(errors.Is(err, executor.ErrTypeMismatch))
	// Output:
	// 10 <nil>
	// 200000 <nil>
	// true
}

func ExampleDefineBatch() {
	// One query for all keys that travel together. A missing key fails alone.
	table := map[string]int{"one": 1, "two": 2}
	lookUp := workers.DefineBatch("lookup", func(_ context.Context, keys []string) ([]int, error) {
		values, missing := make([]int, len(keys)), workers.Errors{}
		for i, key := range keys {
			value, ok := table[key]
			if !ok {
				missing[i] = fmt.Errorf("no key %q", key)
			}
			values[i] = value
		}
		return values, missing
	})
	fmt.Println(lookUp.Name(), lookUp.Err())
	// Output: lookup <nil>
}

func ExampleUnavailable() {
	// Without the model no item can be classified here. The items go to workers that have it.
	classify := workers.Define("classify", func(_ context.Context, text string) (string, error) {
		model, err := os.ReadFile("/var/lib/model")
		if err != nil {
			return "", workers.Unavailable(err)
		}
		return fmt.Sprint(len(model), text), nil
	})
	fmt.Println(classify.Name(), classify.Err())
	// Output: classify <nil>
}

func ExampleRetryAfter() {
	// The server says when to come again. With executor.Retries the item is tried then.
	fetch := workers.Define("fetch", func(ctx context.Context, url string) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", workers.Permanent(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusTooManyRequests {
			seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
			return "", workers.RetryAfter(errors.New(response.Status), time.Duration(seconds)*time.Second)
		}
		body, err := io.ReadAll(response.Body)
		return string(body), err
	})
	fmt.Println(fetch.Name(), fetch.Err())
	// Output: fetch <nil>
}
