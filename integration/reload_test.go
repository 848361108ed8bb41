package integration

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
)

// A configured is a dqworker with a configuration file.
type configured struct {
	t                 *testing.T
	url, path, stderr string
	cmd               *exec.Cmd
}

// startConfigured starts a dqworker with further flags. It has the given file.
func startConfigured(t *testing.T, config string, flags ...string) *configured {
	t.Helper()
	told := file(t)
	c := &configured{
		t: t, url: testkit.StartRedis(t).URL() + "/?ns=" + testkit.Namespace(t),
		path: filepath.Join(t.TempDir(), "worker.yaml"), stderr: told.Name(),
	}
	c.write(config)
	c.cmd = exec.Command("dqworker", append([]string{"--config", c.path}, flags...)...)
	c.cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS=")
	c.cmd.Stderr = told
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // under nohup, the worker would ignore the signal as well
	defer signal.Stop(hangups)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the test may have ended it
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// end ends the worker like an operator.
func (c *configured) end() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("%v: %s", err, c.text())
	}
}

func (c *configured) write(config string) {
	c.t.Helper()
	if err := os.WriteFile(c.path, []byte("redis: "+c.url+"\n"+config), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// hangup writes the file anew and sends SIGHUP.
func (c *configured) hangup(config string) {
	c.t.Helper()
	c.write(config)
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		c.t.Fatal(err)
	}
}

func (c *configured) text() string {
	c.t.Helper()
	text, err := os.ReadFile(c.stderr)
	if err != nil {
		c.t.Error(err)
	}
	return string(text)
}

// says waits until stderr matches a pattern.
func (c *configured) says(pattern string) {
	c.t.Helper()
	testkit.Eventually(c.t, func() bool { return regexp.MustCompile(pattern).MatchString(c.text()) }, "the worker says "+pattern)
}

// A worker reads its configuration file again at SIGHUP. It takes what may change while it runs,
// names what may not, and keeps everything if the file is broken.
func TestWorkerReloadsItsConfiguration(t *testing.T) {
	t.Parallel()
	w := startConfigured(t, "concurrency: 2\nlimit: {up: 1}\nfn: {up: 'pipe:tr a-z A-Z'}\n", "--drain", "7s")
	w.says("concurrency 2, functions up inc ")
	o, err := executor.NewInspector(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	concurrency := func(want int) {
		t.Helper()
		testkit.Eventually(t, func() bool {
			all, err := o.Workers(t.Context())
			return err == nil && len(all) == 1 && all[0].Concurrency == want
		}, "other processes see the new concurrency")
	}
	w.hangup("concurrency: 5\nlimit: {up: 2}\nfn: {up: 'pipe:tr a-z A-Z', more: 'exec:true'}\nlease: 20s\ndrain: 9s\n")
	w.says(`a setting has changed .* \(key lease\)\n`)
	w.says(`the configuration was reloaded \(concurrency 5, limits map\[up:2\], functions \[up more inc .*\], verbose false, log-level \)\n`)
	concurrency(5)
	w.hangup("concurency: 6\n")
	w.says(`all settings stay \(err --config .*worker.yaml: line 2: unknown key .*: did you mean concurrency\?\)\n`)
	w.hangup("limit: {nosuch: 1}\n")
	w.says(`all settings stay \(err --limit: unknown function`)
	concurrency(5)
	w.hangup("concurrency: 1\nfn: {up: 'pipe:tr a-z A-Z'}\nverbose: true\n")
	w.says(`the configuration was reloaded.*concurrency=1 limits=map\[\] functions=.* verbose=true log-level=""`)
	concurrency(1)
	w.hangup("concurrency: 1\nfn: {up: 'pipe:tr a-z A-Z'}\nlog-level: info\n")
	w.says(`dqworker: the configuration was reloaded \(concurrency 1, .* log-level info\)\n`)
	w.hangup("concurrency: 2\nlog-level: loud\n")
	w.says(`all settings stay \(err unknown --log-level`)
	w.end()
	if regexp.MustCompile("key drain").MatchString(w.text()) {
		t.Error(w.text())
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

// run returns the lines of dqbridge run of a function for some lines.
func (c *configured) run(function, lines string) string {
	c.t.Helper()
	cmd := exec.Command("dqbridge", "run", "--redis", c.url, function)
	cmd.Stdin = strings.NewReader(lines)
	out, err := cmd.Output()
	if err != nil {
		c.t.Errorf("run %s: %v: %s", function, err, out)
	}
	return string(out)
}

// At SIGHUP a worker takes up the commands of its file: new ones, other definitions and the end of
// some. A call that runs ends by its definition. A file with a mistake changes nothing.
func TestWorkerReloadsItsFunctions(t *testing.T) {
	t.Parallel()
	const slow = `slow: 'exec: echo $$ >%s; while [ ! -e %s ]; do sleep 0.05; done; echo old {}'`
	dir := t.TempDir()
	started, ended := filepath.Join(dir, "started"), filepath.Join(dir, "ended")
	w := startConfigured(t, "concurrency: 2\nbuiltin: false\nfn: {up: 'pipe:tr a-z A-Z', echo: 'coproc:cat', "+fmt.Sprintf(slow, started, ended)+"}\n")
	w.says("functions up echo slow")
	if got := w.run("echo", "1\n"); got != "1\n" {
		t.Errorf("echo: %q", got)
	}
	result := make(chan string, 1)
	go func() { result <- w.run("slow", "x\n") }()
	testkit.Eventually(t, func() bool { _, err := os.Stat(started); return err == nil }, "the call runs")

	w.hangup("concurrency: 2\nbuiltin: false\nfn: {up: 'pipe:rev', slow: 'exec: echo new {}', new: 'exec: echo {}!'}\n")
	w.says(`the configuration was reloaded \(concurrency 2, limits map\[\], functions \[up slow new\]`)
	for _, c := range []struct{ function, want string }{{"up", "cba\n"}, {"new", "abc!\n"}, {"slow", "new abc\n"}} {
		if got := w.run(c.function, "abc\n"); got != c.want {
			t.Errorf("%s: %q, not %q", c.function, got, c.want)
		}
	}
	if err := os.WriteFile(ended, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got != "old x\n" {
		t.Errorf("the call that ran ended with %q", got)
	}
	o, err := executor.NewInspector(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	offers := func() []string {
		all, err := o.Workers(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return all[0].Functions
	}
	if got := offers(); !slices.Equal(got, []string{"new", "slow", "up"}) {
		t.Errorf("other processes see %q", got)
	}
	for config, mistake := range map[string]string{
		"fn: {up: 'pip:rev'}\n":                                               `all settings stay \(err --fn: .*pip`,
		"fn: {up: 'exec: no-such-program'}\n":                                 `all settings stay \(err --fn: the program of up is missing`,
		"limit: {echo: 1}\nfn: {up: 'pipe:rev', slow: 'exec: echo new {}'}\n": `all settings stay \(err --limit: unknown function`,
	} {
		w.hangup("concurrency: 1\nbuiltin: false\n" + config)
		w.says(mistake)
	}
	if got := w.run("up", "abc\n"); got != "cba\n" || !slices.Equal(offers(), []string{"new", "slow", "up"}) {
		t.Errorf("after mistakes: %q, %q", got, offers())
	}
	w.end()
}
