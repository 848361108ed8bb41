package top

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/watch"
)

var (
	server70 = inspect.Server{Version: "7.0.15", RoundTrip: time.Millisecond, Policy: "noeviction", AppendOnly: true, Snapshots: true, MaxClients: 100}
	failures = []inspect.ErrorGroup{{Stage: "s", Function: "f", Code: "error", Count: 7, Message: "3 is a multiple of 3", First: at, Last: at, Stack: "main.f()\n\tf.go:1\n"}}
)

// snapshot returns two flows, of which one has no worker.
func snapshot() inspect.Snapshot {
	return inspect.Snapshot{
		At: at,
		Queues: []inspect.Queue{
			{Name: "orders", Type: "int", State: "open", Waiting: 30, Oldest: at.Add(-time.Minute), Consumer: "stage:s"},
			{Name: "out", Type: "int", State: "open", From: []string{"orders"}, Waiting: 4},
			{Name: "small", Type: "string", State: "ended", Waiting: 5},
		},
		Stages:  []inspect.Stage{{ID: "s", Kind: "map", Function: "f", In: []string{"orders"}, Out: []string{"out"}}},
		Sources: []inspect.Source{{Name: "src", Queue: "orders", State: "open", End: -1}},
		Workers: []inspect.Worker{{
			ID: "4d976ba8-9f0b-471c-9416-993a13aa10b4", Host: "h", PID: 2, State: "live", Concurrency: 2, Functions: []string{"g"},
			Running: []inspect.Call{{Stage: "s", Function: "f", Source: "src", Offset: 17, Since: at.Add(-3 * time.Second)}},
		}},
	}
}

func view() watch.View {
	return watch.View{Snapshot: snapshot(), Errors: failures, Server: server70, At: at}
}

// shown returns the model of a screen with a view.
func shown(v watch.View, width, height int) *model {
	m := newModel("host:6379/", make(chan action, 1))
	m.Update(tea.WindowSizeMsg{Width: width, Height: height})
	m.Update(viewMsg{v, v.At})
	return m
}

// strike types keys: names of keys, or single characters.
func (m *model) strike(keys ...string) tea.Cmd {
	var last tea.Cmd
	for _, name := range keys {
		key, special := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "end": tea.KeyEnd, "home": tea.KeyHome,
			"backspace": tea.KeyBackspace, "tab": tea.KeyTab, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp}[name]
		msg := tea.KeyPressMsg{Code: key}
		if !special {
			msg = tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
		}
		_, last = m.Update(msg)
	}
	return last
}

func (m *model) plainScreen() string { return plain(strings.Join(m.screen(), "\n")) }

// hostile returns a view whose texts try to leave their cells.
func hostile() watch.View {
	v := view()
	for _, evil := range []string{"\x1b[2J\x1b]0;title\x07", strings.Repeat("wide 漢字 ", 300), "a\nb\tc\u202Ed", "e\u0301\u200d👩\u200d🚀", ""} {
		v.Snapshot.Queues = append(v.Snapshot.Queues, inspect.Queue{Name: evil, Type: evil, State: "broken", Broken: evil})
		v.Snapshot.Stages = append(v.Snapshot.Stages, inspect.Stage{ID: evil, Function: evil, In: []string{evil}, Out: []string{evil, evil}})
		v.Snapshot.Workers = append(v.Snapshot.Workers, inspect.Worker{ID: evil, Host: evil, Functions: []string{evil}, Running: []inspect.Call{{Function: evil, Source: evil}}})
		v.Errors = append(v.Errors, inspect.ErrorGroup{Message: evil, Stack: evil, Code: evil})
	}
	v.Server.Version = "\x1b[31m7"
	return v
}

// At any size, each screen has exactly its lines, and none is wider than the terminal.
func TestScreensFitAnySize(t *testing.T) {
	t.Parallel()
	away := view()
	away.Err = errors.New("dial tcp: \x1b[2J" + strings.Repeat("no route ", 40))
	never := watch.View{Err: away.Err}
	for name, v := range map[string]watch.View{"well": view(), "hostile": hostile(), "away": away, "never": never, "none yet": {}} {
		for _, size := range [][2]int{{80, 24}, {200, 50}, {30, 8}, {43, 11}, {120, 9}, {7, 3}} {
			m := shown(v, size[0], size[1])
			for _, keys := range [][]string{{"1"}, {"2"}, {"3"}, {"4"}, {"end"}, {"s", "S"}, {"enter"}, {"pgdown"}, {"esc"}, {"5"}, {"enter"}, {"esc"}, {"d"}, {"esc"}, {"?"}, {"esc"}, {"/", "x"}, {"esc"}} {
				m.strike(keys...)
				lines := m.screen()
				if len(lines) > size[1] || len(lines) != size[1] && size[0] >= minWidth {
					t.Fatalf("%s, %v after %v: %d lines", name, size, keys, len(lines))
				}
				for _, line := range lines {
					if ansi.StringWidthWc(line) > size[0] || strings.ContainsAny(plain(line), "\x1b\n\t\u202E") {
						t.Fatalf("%s, %v after %v: %q has %d columns", name, size, keys, line, ansi.StringWidthWc(line))
					}
				}
			}
		}
	}
}

// The chosen row stays the same while rows come and go.
func TestChosenRowIsKept(t *testing.T) {
	t.Parallel()
	v := view()
	m := shown(v, 80, 24)
	m.strike("4", "down")
	if text := m.plainScreen(); !strings.Contains(text, "> out") {
		t.Fatalf("the second row is not chosen:\n%s", text)
	}
	v.Snapshot.Queues = append([]inspect.Queue{{Name: "another"}}, v.Snapshot.Queues...)
	m.Update(viewMsg{v, at})
	if text := m.plainScreen(); !strings.Contains(text, "> out") {
		t.Errorf("another row is chosen:\n%s", text)
	}
	m.strike("enter")
	v.Snapshot.Queues = v.Snapshot.Queues[:1]
	m.Update(viewMsg{v, at})
	m.strike("esc")
	if text := m.plainScreen(); !strings.Contains(text, "> another") {
		t.Errorf("no row is chosen after the chosen one has gone:\n%s", text)
	}
}

func TestRowsAreSortedAndFiltered(t *testing.T) {
	t.Parallel()
	m := shown(view(), 80, 24)
	order := func() (names string) {
		for _, line := range strings.Split(m.plainScreen(), "\n") {
			if name := strings.TrimLeft(line, "> "); strings.Contains(line, " open ") || strings.Contains(line, " ended ") {
				names += strings.Fields(name)[0] + " "
			}
		}
		return names
	}
	m.strike("4", "s", "s", "s", "s")
	if got := order(); got != "orders small out " || !strings.Contains(m.plainScreen(), "sort: -waiting") {
		t.Errorf("by WAITING: %s\n%s", got, m.plainScreen())
	}
	m.strike("S")
	if got := order(); got != "out small orders " {
		t.Errorf("the other way round: %s", got)
	}
	for keys, want := range map[string]string{"/ o": "out orders ", "/ o r *": "orders ", "/ *": "out small orders ", "/ n o n e": "", "/ [": "out small orders "} {
		m.strike(strings.Fields(keys)...)
		m.strike("enter")
		if got := order(); got != want {
			t.Errorf("%s: %s, not %s", keys, got, want)
		}
		m.strike("esc")
	}
	if got := order(); got != "out small orders " {
		t.Errorf("without a filter: %s", got)
	}
	m.strike("/", "x", "backspace")
	m.Update(tea.PasteMsg{Content: "small\nrm"})
	if got := order(); got != "small " {
		t.Errorf("a pasted filter: %s", got)
	}
}

func TestDetailsShowWhatBelongsToRow(t *testing.T) {
	t.Parallel()
	v := view()
	m := shown(v, 100, 40)
	for pane, want := range map[string][]string{
		"1": {"FLOW       orders", "stages", "queues", "no worker has the function"},
		"2": {"FUNCTION   f", "errors", "3 is a multiple of 3", "SLOTS"},
		"3": {"WORKER       4d976ba8-9f0b-471c-9416-993a13aa10b4", "calls", "17"},
		"4": {"QUEUE      orders", "sources", "src", "MAX"},
		"5": {"MESSAGE   3 is a multiple of 3", "stack", "f.go:1"},
	} {
		m.strike(pane, "enter")
		for _, text := range want {
			if !strings.Contains(m.plainScreen(), text) {
				t.Errorf("pane %s: %q is missing in\n%s", pane, text, m.plainScreen())
			}
		}
		m.strike("esc")
	}
}

// An outage is told with its length, and the rows stay.
func TestOutageIsToldWithItsBegin(t *testing.T) {
	t.Parallel()
	v := view()
	v.Err = errors.New("connection refused")
	m := shown(v, 100, 24)
	m.Update(clockMsg(at.Add(14 * time.Second)))
	if text := m.plainScreen(); !strings.Contains(text, "REDIS AWAY since 12:00:00, for 14s: this is the last state: connection refused") || !strings.Contains(text, "orders") {
		t.Errorf("shown is\n%s", text)
	}
	m.Update(viewMsg{view(), at.Add(20 * time.Second)})
	if text := m.plainScreen(); strings.Contains(text, "AWAY") || !strings.Contains(text, "redis 7.0.15 live") {
		t.Errorf("after the outage:\n%s", text)
	}
}

func TestKeysQuit(t *testing.T) {
	t.Parallel()
	m := shown(view(), 80, 24)
	if cmd := m.strike("/", "q"); cmd != nil {
		t.Error("q of a filter quits")
	}
	m.strike("esc", "enter")
	if cmd := m.strike("q"); cmd != nil {
		t.Error("q in the details quits")
	}
	if cmd := m.strike("q"); cmd == nil || fmt.Sprintf("%T", cmd()) != "tea.QuitMsg" {
		t.Error("q does not quit")
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}); cmd == nil {
		t.Error("Ctrl-C does not quit")
	}
}

// Columns without values give way first, and wide ones are cut before narrow ones.
func TestColumnsFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		natural []int
		empty   []bool
		room    int
		want    string
	}{
		{[]int{5, 6, 7}, []bool{false, false, false}, 40, "[5 6 7]"},
		{[]int{5, 6, 7}, []bool{true, true, false}, 15, "[5 0 7]"},
		{[]int{30, 8, 20}, []bool{false, false, false}, 40, "[14 8 14]"},
		{[]int{30, 8, 20}, []bool{false, false, false}, 12, "[6 0 0]"},
		{[]int{30}, []bool{true}, 4, "[4]"},
	} {
		if got := fmt.Sprint(fit(c.natural, c.empty, c.room)); got != c.want {
			t.Errorf("%v in %d columns: %s, not %s", c.natural, c.room, got, c.want)
		}
	}
}
