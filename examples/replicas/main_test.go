package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A test binary that finds asReplica in its environment is a replica.
const asReplica = "DQBRIDGE_TEST_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(asReplica) == "" {
		testkit.Main(m)
	}
	if err := run(context.Background(), os.Getenv("DQBRIDGE_REDIS"), []string{"serve", "127.0.0.1:0"}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A replica is a process of the service.
type replica struct {
	t    *testing.T
	url  string
	kill func()
}

func start(t *testing.T, redis string) replica {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asReplica+"=1", "DQBRIDGE_REDIS="+redis)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return replica{t, "http://" + strings.TrimSpace(strings.TrimPrefix(line, "listening on ")), kill}
}

// price asks for the price of n pears. It returns an error if the process is gone.
func (r replica) price(n int) (answer string, err error) {
	response, err := http.Get(r.url + "/price?order=" + url.QueryEscape(fmt.Sprintf("%d pears", n)))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return strings.TrimSpace(string(body)), err
}

// ask sends concurrent requests, each for another price.
func (r replica) ask(from, to int) (group *sync.WaitGroup) {
	group = new(sync.WaitGroup)
	for i := range 8 {
		group.Go(func() {
			for n := from + i; n < to; n += 8 {
				if answer, err := r.price(n); err != nil || answer != fmt.Sprint(60*n) {
					r.t.Errorf("%d pears: %q %v", n, answer, err)
				}
			}
		})
	}
	return group
}

// Each of two processes has the answers to its own requests, also while and after the other one is killed.
func TestReplicasHaveTheirOwnAnswers(t *testing.T) {
	server := testkit.SharedRedis(t)
	redis := server.URL() + "/?ns=" + testkit.Namespace(t)
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- run(ctx, redis, []string{"worker"}) }()
	defer func() {
		stop()
		if err := <-worked; err != nil {
			t.Error(err)
		}
	}()
	for range 2 { // a deploy may run again
		if err := run(t.Context(), redis, []string{"deploy"}); err != nil {
			t.Fatal(err)
		}
	}
	one, two := start(t, redis), start(t, redis)
	both := one.ask(1, 200)
	two.ask(1000, 1200).Wait()
	both.Wait()

	asked := make(chan error, 1)
	go func() { // it asks until its process is gone
		for n := 1; ; n++ {
			if _, err := one.price(n); err != nil {
				asked <- err
				return
			}
		}
	}()
	rest := two.ask(2000, 2400)
	one.kill()
	<-asked
	rest.Wait()
	three := start(t, redis)
	three.ask(5000, 5100).Wait()
	two.ask(6000, 6100).Wait()

	ex, err := executor.New(t.Context(), redis)
	if err != nil {
		t.Fatal(err)
	}
	defer ex.Close()
	charged, err := executor.Open[int](t.Context(), ex, "charged")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := charged.Len(t.Context()); n != 0 || err != nil {
		t.Errorf("%d results are in charged: %v", n, err)
	}
	if answer, err := two.price(0); err != nil || answer != "0" {
		t.Errorf("%q %v", answer, err)
	}
}
