package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
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
	w.says(`a setting has changed .* \(key fn\)\n`)
	w.says(`a setting has changed .* \(key lease\)\n`)
	w.says(`the configuration was reloaded \(concurrency 5, limits map\[up:2\], verbose false, log-level \)\n`)
	concurrency(5)
	w.hangup("concurency: 6\n")
	w.says(`all settings stay \(err --config .*worker.yaml: line 2: unknown key .*: did you mean concurrency\?\)\n`)
	w.hangup("limit: {nosuch: 1}\n")
	w.says(`all settings stay \(err --limit: unknown function`)
	concurrency(5)
	w.hangup("concurrency: 1\nfn: {up: 'pipe:tr a-z A-Z'}\nverbose: true\n")
	w.says(`the configuration was reloaded.*concurrency=1 limits=map\[\] verbose=true log-level=""`)
	concurrency(1)
	w.hangup("concurrency: 1\nfn: {up: 'pipe:tr a-z A-Z'}\nlog-level: info\n")
	w.says(`dqworker: the configuration was reloaded \(concurrency 1, .* log-level info\)\n`)
	w.hangup("concurrency: 2\nlog-level: loud\n")
	w.says(`all settings stay \(err unknown --log-level`)
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil || regexp.MustCompile("key drain").MatchString(w.text()) {
		t.Errorf("%v: %s", err, w.text())
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}
