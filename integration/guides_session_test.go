package integration

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dqbridge/dqbridge/internal/testkit"
)

// TestGuideSessions runs the console blocks of each guide in a folder of its own beside the project, as a reader does:
// one shell for each guide, or for each plant.
func TestGuideSessions(t *testing.T) {
	t.Parallel()
	for guide, blocks := range guides(t) {
		var session []string
		plant, part := "", 0
		run := func() {
			if lines, plant := session, plant; len(lines) > 0 {
				t.Run(fmt.Sprint(guide, "/", part, plant), func(t *testing.T) {
					t.Parallel()
					startConsole(t, plant).play(lines)
				})
			}
			session, part = nil, part+1
		}
		for _, b := range blocks {
			if b.language != "console" {
				continue
			}
			if b.plant != "" {
				run()
				plant = b.plant
			}
			session = append(session, strings.Split(strings.TrimSuffix(b.text, "\n"), "\n")...)
		}
		run()
	}
}

// A console is a shell whose commands and outputs a guide shows. The ports of the guide are free ones here.
type console struct {
	t     *testing.T
	in    io.Writer
	pipe  *os.File
	out   *bufio.Scanner
	clone string            // the project, which a guide has in ../dqbridge
	loose bool              // numbers of three digits and more differ from run to run
	ports map[string]string // by the port in the guide
	count int
}

const (
	marker       = "@@@"
	commandLimit = 3 * time.Minute
)

func startConsole(t *testing.T, plant string) *console {
	t.Helper()
	c := &console{t: t, ports: map[string]string{}}
	dir := t.TempDir()
	tools := filepath.Join(dir, ".tools")
	project, err := filepath.Abs(root)
	err = errors.Join(err, os.Mkdir(tools, 0o700), // the project is there: git does not clone it
		os.WriteFile(filepath.Join(tools, "git"), []byte("#!/bin/sh\n"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	c.clone = project
	environment := "DQBRIDGE_REDIS="
	if plant != "" {
		prepare, ok := plants[plant]
		if !ok {
			t.Fatalf("there is no plant %q", plant)
		}
		server := testkit.StartRedis(t)
		c.ports["6379"] = server.Addr()[strings.LastIndex(server.Addr(), ":")+1:]
		c.loose = true
		prepare(t, server.URL())
		environment += server.URL()
	}
	shell := exec.Command("sh")
	shell.Dir, shell.SysProcAttr = dir, &syscall.SysProcAttr{Setpgid: true}
	shell.Env = append(os.Environ(), "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"), environment, "GOFLAGS=-buildvcs=false -vet=off")
	in, errIn := shell.StdinPipe()
	out, w, errOut := os.Pipe()
	if errIn != nil || errOut != nil {
		t.Fatal(errIn, errOut)
	}
	shell.Stdout, shell.Stderr = w, w
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // the processes in the background too
		_ = shell.Wait()
		_ = w.Close()
		_ = out.Close()
	})
	c.in, c.pipe, c.out = in, out, bufio.NewScanner(out)
	c.run("trap 'trap - EXIT; kill -9 0' EXIT") // also if the test binary dies
	return c
}

// A command that only looks is run again until its output is that of the guide.
var looks = regexp.MustCompile(`^(dqbridge (workers|queues|stages|flows|sources|gathers|errors|where|doctor|functions|dead (list|show))|curl|cat|grep)\b`)

// play runs the commands of blocks and compares the lines behind each.
func (c *console) play(lines []string) {
	c.t.Helper()
	for i := 0; i < len(lines); {
		command, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			c.t.Fatalf("a block begins with %q, not with a command", lines[i])
		}
		i++
		start := i
		for i < len(lines) && !strings.HasPrefix(lines[i], "$ ") {
			i++
		}
		want := c.normal(strings.Join(lines[start:i], "\n"))
		got := c.run(command)
		if looks.MatchString(command) {
			c.waitFor(command, want, got)
		} else if !shows(want, got) {
			c.t.Fatalf("$ %s\n%s\nis not\n%s", command, got, want)
		}
	}
}

// waitFor runs a command until its output is that of the guide.
func (c *console) waitFor(command, want, got string) {
	c.t.Helper()
	c.t.Cleanup(func() {
		if !shows(want, got) {
			c.t.Logf("$ %s\n%s", command, got)
		}
	})
	testkit.Eventually(c.t, func() bool {
		if !shows(want, got) {
			got = c.run(command)
		}
		return shows(want, got)
	}, "$ "+command+"\nshows\n"+want)
}

// run runs one command and returns its output in a normal form.
func (c *console) run(command string) string {
	c.t.Helper()
	for _, port := range regexp.MustCompile(`\b(6379|8080)\b`).FindAllString(command, -1) {
		if c.ports[port] == "" {
			c.ports[port] = testkit.FreePort(c.t)
		}
		command = strings.ReplaceAll(command, port, c.ports[port])
	}
	command = strings.ReplaceAll(command, "../dqbridge", c.clone)
	c.count++
	end := marker + strconv.Itoa(c.count)
	if _, err := fmt.Fprintf(c.in, "%s\necho; echo %s\n", command, end); err != nil {
		c.t.Fatal(err)
	}
	if err := c.pipe.SetReadDeadline(time.Now().Add(commandLimit)); err != nil {
		c.t.Fatal(err)
	}
	var out []string
	for c.out.Scan() {
		line := c.out.Text()
		if line == end {
			text := strings.Join(out, "\n")
			for port, free := range c.ports {
				text = strings.ReplaceAll(text, ":"+free, ":"+port)
			}
			return c.normal(text)
		}
		out = append(out, line)
	}
	c.t.Fatalf("$ %s\n%s\nhas not ended: %v", command, strings.Join(out, "\n"), c.out.Err())
	return ""
}

// volatile are parts of an output that differ from run to run, and their replacements.
var volatile = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "ID"},
	{regexp.MustCompile(`\d{13}-\d+`), "ENTRY"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`), "TIME"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ns|µs|ms|s)\b`), "DURATION"},
	{regexp.MustCompile(`\b\d+(\.\d+)?/s\b`), "RATE"},
	{regexp.MustCompile(`\b\d+%`), "SHARE"},
	{regexp.MustCompile(`"seconds":[0-9.e-]+`), `"seconds":N`},
	{regexp.MustCompile(`[ \t]+`), " "},
}

// normal replaces the parts of a text that differ from run to run, and puts one space between columns.
func (c *console) normal(text string) string {
	if host, err := os.Hostname(); err == nil {
		text = regexp.MustCompile(`\b`+regexp.QuoteMeta(host)+`\b`).ReplaceAllString(text, "host")
	}
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.instead)
	}
	if c.loose {
		text = regexp.MustCompile(`\b\d{3,}\b`).ReplaceAllString(text, "N")
	}
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// shows compares outputs. A line of three dots in the guide stands for any lines.
func shows(want, got string) bool {
	pattern := regexp.QuoteMeta(want)
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `(?s:.*)`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(got)
}
