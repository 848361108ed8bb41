package integration

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// paths are items with all characters that quoting and placeholders must handle.
const paths = "a\ndir/b.c\n/x.y/z\nit's\na b\n$HOME\n\"q\"\n\n x\ty \n.hidden\n//\ndir//\n*\n\\n\nü.txt\n~\n#c\n-n\na;b\n`id`\n<a>\n!h\n{}\n"

// Within quotes, parallel lets the shell evaluate the content of an item, and dqbridge does not.
// calm are items without a difference inside double quotes, and wordlike are items without a
// difference anywhere.
const (
	calm     = "a\na b\ndir/b.c\n*\n x\ty \n;\n<\n#\n\n"
	wordlike = "a\ndir/b.c\n-x\nc_d.e\n"
)

// parallelCases are invocations with the same meaning for GNU parallel and `dqbridge run`.
var parallelCases = []struct {
	in    string
	flags string // words
	words []string
}{
	{paths, "", []string{"echo"}},
	{paths, "", []string{"echo", "{}"}},
	{paths, "", []string{"echo x{}y"}},
	{paths, "", []string{"echo {.}"}},
	{paths, "", []string{"echo {/}"}},
	{paths, "", []string{"echo {//}"}},
	{paths, "", []string{"echo {/.}"}},
	{paths, "", []string{"echo {#}"}},
	{paths, "", []string{"echo {#} {}"}},
	{paths, "-j1", []string{"echo {%} {}"}},
	{paths, "", []string{"echo {} {} {.}"}},
	{calm, "", []string{`echo "{}"`}},
	{calm, "", []string{`echo "<{}>" {.}`}},
	{calm, "", []string{`sh -c "echo {}"`}},
	{wordlike, "", []string{`echo '{}'`}},
	{wordlike, "", []string{`sh -c 'echo {}'`}},
	{wordlike, "", []string{`sh -c 'echo "{/} {#}"'`}},
	{paths, "", []string{"echo {1} {2}"}},
	{paths, "", []string{"echo {1.} {1/} {1//} {1/.} {-1}"}},
	{paths, "--tag", []string{"echo"}},
	{paths, "-n2", []string{"echo"}},
	{paths, "-n 3", []string{"echo {2} {1} {3} {}"}},
	{paths, "-N2 --tag", []string{"echo {2}"}},
	{paths, "-n2", []string{"echo {.} {/}"}},
	{wordlike, "-n2", []string{"echo {-1} {-2}"}},
	{"", "", []string{"echo"}},
	{"a", "", []string{"echo"}},
	{"\n", "", []string{"echo x"}},
	{"\n\n", "--tag", []string{"echo x"}},
	{"a b\x00c\nd\x00", "-0", []string{"echo"}},
	{"a b\x00c\nd\x00", "--null", []string{"printf '<%s>'"}},
	{"a\nb\n", "-0", []string{"echo"}},
	{"1\n2\n", "", []string{"printf", "%s"}},
	{"1\n2\n", "", []string{"printf", "%s\\n"}},
	{"1\n2\n", "", []string{"printf '%s\\n' {} {#}"}},
	{"1\n2\n", "--tag", []string{"printf 'a\\nb\\n'; : {}"}},
	{"1\n2\n", "--tag", []string{"printf 'a\\nb'; : {}"}},
	{"1\n2\n", "--tag", []string{": {}"}},
	{"1\n2\n", "", []string{"echo", "a", "'b  c'", "{}", "|", "tr a b"}},
	{"1\n2\n", "", []string{"echo $(expr {} + 1)"}},
	{"0\n1\n2\n255\n", "", []string{"exit"}},
	{"0\n1\n2\n", "-j1", []string{"echo {}; exit {}"}},
	{"0\n1\n2\n", "", []string{"echo {}; echo no >&2; exit {}"}},
	{"9\n15\n", "", []string{"kill -{} $$"}},
	{"1\n", "", []string{"/nonexistent/command"}},
	{"1\n", "", []string{"/etc/passwd"}},
	{"1\n2\n", "", []string{"cat; : {}"}},
	{"1\n2\n", "", []string{"if test {} = 1; then echo one; fi"}},
	{"echo a\necho b | tr b c\nexit 7\n", "", nil},
	{"echo 'a  b'\necho $HOME\n", "-j1", nil},
	{"echo a; false\n\ntrue\n", "--tag", nil},
	{strings.Repeat("1\n", 100), "", []string{"exit"}},
	{strings.Repeat("1\n", 101), "", []string{"exit"}},
	{strings.Repeat("1\n", 120), "", []string{"exit"}},
	{"30\n", "--timeout 0.5", []string{"sleep"}},
	{"0\n30\n", "--timeout 0.5", []string{"echo {}; sleep {}"}},
	{"a,b,c\nd\n, e ,\n\n", "--colsep ,", []string{"echo {1}-{2}-{3}"}},
	{"a,b,c\nd\n, e ,\n\n", "--colsep ,", []string{"echo"}},
	{"a1b22c\n", "--colsep [0-9]+", []string{"echo {3} {2} {1} {}"}},
	{"a\tb.c\n", `--colsep \t --tag`, []string{"echo {2.} {1}"}},
	{"a,b\nc,d\ne,f\n", "--colsep , -n2", []string{"echo {1} {2} {3} {4}"}},
	{"n,m\na.b,x\nc/d,y\n", "--colsep , --header :", []string{"echo {m} {n} {n.} {n/} {n//} {1}"}},
	{"n\tm\na.b\tx\n", "--header :", []string{"echo {m} {n}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt now,fail=1", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt soon,fail=2", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt soon,fail=50%", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt soon,success=1", []string{"echo {}; exit {}"}},
	{"3\n2\n0\n0\n", "-j1 --halt soon,success=30%", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt soon,done=3", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt soon,done=40%", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt 1", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "-j1 --halt 10%", []string{"echo {}; exit {}"}},
	{"0\n3\n2\n4\n0\n", "--halt never", []string{"echo {}; exit {}"}},
	{"1\n", "-j1 --halt soon,fail=1", []string{"kill -9 $$; : {}"}},
	{"", "", []string{"echo", ":::", "a", "b c", "$HOME", ""}},
	{"", "--tag", []string{"echo {2}-{1}", ":::", "a", "b", ":::", "1", "2", "3"}},
	{"", "-n2", []string{"echo", ":::", "a", "b", "c"}},
	{"", "", []string{":::", "echo 1", "exit 2"}},
	{"", "", []string{"echo", ":::"}},
	{"", "-j1 --halt now,fail=1", []string{"exit", ":::", "0", "3", "4"}},
	{"1\n", "--halt often", []string{"echo"}},
	{"1\n", "--resume-failed --joblog /nonexistent/log", []string{"echo"}},
}

// An invocation is the result of one invocation.
type invocation struct {
	out    string
	status int
	log    []string // number, bytes sent and received, exit status, signal and command of each job, by number
}

func invoke(t *testing.T, in string, args ...string) invocation {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME=/home/nobody", "SHELL=/bin/sh", "PARALLEL_SHELL=/bin/sh", "LC_ALL=C.UTF-8", "DQBRIDGE_REDIS=")
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	got := invocation{out: string(out), status: cmd.ProcessState.ExitCode()}
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for row := range bytes.Lines(text) {
		fields := strings.SplitN(string(row), "\t", 9)
		got.log = append(got.log, strings.Join(append(fields[:1], fields[4:]...), "\t"))
	}
	slices.Sort(got.log)
	return got
}

// A command for each line behaves like GNU parallel: stdout, exit status and joblog are the same.
func TestRunMatchesParallel(t *testing.T) {
	t.Parallel()
	if text, err := exec.Command("parallel", "--version").Output(); !strings.HasPrefix(string(text), "GNU parallel") {
		t.Fatalf("no GNU parallel, which make tools installs: %s, %v", text, err)
	}
	if len(parallelCases) < 60 {
		t.Errorf("%d cases", len(parallelCases))
	}
	for _, c := range parallelCases {
		flags := append([]string{"--joblog", "log"}, strings.Fields(c.flags)...)
		t.Run(strings.Join(append(flags[2:], c.words...), " "), func(t *testing.T) {
			t.Parallel()
			want := invoke(t, c.in, slices.Concat([]string{"parallel", "-k"}, flags, c.words)...)
			got := invoke(t, c.in, slices.Concat([]string{"dqbridge", "run"}, flags, []string{"--"}, c.words)...)
			if got.out != want.out || got.status != want.status || !slices.Equal(got.log, want.log) {
				t.Errorf("%q:\n%d %q\n%q\nparallel:\n%d %q\n%q", c.in, got.status, got.out, got.log, want.status, want.out, want.log)
			}
		})
	}
}

// A command for each line prints the same as xargs in the mode that takes lines literally.
func TestRunMatchesXargs(t *testing.T) {
	t.Parallel()
	const items = "a\ndir/b.c\nit's\na b\n$HOME\n\"q\"\n x\ty \n*\n\\n\n-n\na;b\n`id`\n"
	for _, c := range []struct{ in, xargs, run string }{
		{items, "-d \\n -n1 printf <%s>", `-- printf "<%s>"`},
		{items, "-d \\n -n2 printf <%s>", `-n2 -- printf "<%s>"`},
		{items, "-d \\n -I{} echo x{}y", "-- /bin/echo x{}y"},
		{items, "-d \\n -P4 -n100 printf [%s]", `-n100 -- printf "[%s]"`},
		{strings.ReplaceAll(items, "\n", "\x00"), "-0 -n1 printf <%s>", `-0 -- printf "<%s>"`},
		{strings.ReplaceAll(items, "\n", "\x00"), "-0 -n3 printf <%s>", `-0 -n3 -- printf "<%s>"`},
	} {
		want := invoke(t, c.in, append([]string{"xargs"}, strings.Fields(c.xargs)...)...)
		got := invoke(t, c.in, append([]string{"dqbridge", "run"}, strings.Fields(c.run)...)...)
		if got.out != want.out || got.status != want.status {
			t.Errorf("run %s: %d %q, not %d %q", c.run, got.status, got.out, want.status, want.out)
		}
	}
}
