package top

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/internal/watch"
	"github.com/dqbridge/dqbridge/operate"
	"github.com/dqbridge/dqbridge/workers"
)

// An operator notes its calls, and fails with an error.
type operator struct {
	did []string
	err error
}

func (o *operator) note(name string) error {
	o.did = append(o.did, name)
	return o.err
}

func (o *operator) Pause(_ context.Context, name string, _ operate.Act) (string, error) {
	return name, o.note("pause " + name)
}

func (o *operator) Resume(_ context.Context, name string, _ operate.Act) (string, error) {
	return name, o.note("resume " + name)
}

func (o *operator) Cancel(_ context.Context, source string, offset int64, _ operate.Act) (inspect.Call, error) {
	return inspect.Call{}, o.note(fmt.Sprintf("cancel %s %d", source, offset))
}

// A board is a model whose actions an operator runs.
type board struct {
	*model
	requests chan action
	o        *operator
}

func newBoard(v watch.View) board {
	requests := make(chan action, 1)
	m := newModel("host:6379/", requests)
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	m.Update(viewMsg{v, v.At})
	return board{m, requests, &operator{}}
}

// settle runs the action that is under way.
func (b board) settle(t *testing.T) {
	t.Helper()
	select {
	case a := <-b.requests:
		b.Update(actedMsg{a, a.run(t.Context(), b.o)})
	default:
		t.Fatalf("no action is under way:\n%s", b.plainScreen())
	}
}

// shows checks that the screen has all texts.
func (b board) shows(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(strings.Join(strings.Fields(b.plainScreen()), " "), text) {
			t.Errorf("%q is missing in\n%s", text, b.plainScreen())
		}
	}
}

// working returns a view in which two workers run items of the stage.
func working() watch.View {
	v := view()
	v.Snapshot.Workers[0].Running = append(v.Snapshot.Workers[0].Running, inspect.Call{Stage: "other", Function: "g", Source: "far", Offset: 5, Since: at.Add(-time.Hour)})
	v.Snapshot.Workers = append(v.Snapshot.Workers, inspect.Worker{ID: "w2", Host: "k", PID: 9, State: "live", Running: []inspect.Call{
		{Stage: "s", Function: "f", Source: "src", Offset: 40, Since: at.Add(-2 * time.Minute)},
	}})
	return v
}

// An action runs after y only. The keys act on the chosen row, also from its details.
func TestActionsAskFirst(t *testing.T) {
	t.Parallel()
	paused := working()
	paused.Snapshot.Stages[0].Pause = &inspect.Pause{By: "ann@h", Why: "deploy"}
	for _, c := range []struct {
		view      watch.View
		keys      []string
		question  string
		did, done string
	}{
		{working(), []string{"2", "p"}, "pause stage s? function f: workers finish", "pause s", "done: pause stage s"},
		{working(), []string{"2", "enter", "p"}, "pause stage s?", "pause s", "done: pause stage s"},
		{working(), []string{"4", "p"}, "pause stage s?", "pause s", "done: pause stage s"},
		{paused, []string{"2", "p"}, "resume stage s? function f, paused by ann@h: deploy", "resume s", "done: resume stage s"},
		{working(), []string{"2", "c"}, "cancel item src 40? function f runs it for 2m0s on k:9; it becomes a failure", "cancel src 40", "done: cancel item src 40"},
		{working(), []string{"3", "c"}, "cancel item far 5? function g runs it for 1h0m0s on h:2", "cancel far 5", "done: cancel item far 5"},
	} {
		b := newBoard(c.view)
		b.strike(c.keys...)
		b.shows(t, c.question, "any other key: no")
		for _, no := range []string{"n", "enter", "q", "p"} {
			b.strike(no)
			if len(b.requests) > 0 || b.asking {
				t.Fatalf("%v: %s is a yes", c.keys, no)
			}
			b.shows(t, "declined: ")
			b.strike(c.keys[len(c.keys)-1])
		}
		b.strike("y")
		b.shows(t, "under way: ")
		b.settle(t)
		b.shows(t, c.done)
		if !slices.Equal(b.o.did, []string{c.did}) {
			t.Errorf("%v: the operator did %q", c.keys, b.o.did)
		}
		b.strike("down")
		if strings.Contains(b.plainScreen(), "done: ") {
			t.Errorf("the result is still shown after the next key:\n%s", b.plainScreen())
		}
	}
}

// The question keeps its object while rows come and go, and a paste is no answer.
func TestQuestionKeepsItsObject(t *testing.T) {
	t.Parallel()
	b := newBoard(working())
	b.strike("2", "p")
	next := working()
	next.Snapshot.Stages = []inspect.Stage{{ID: "another", Function: "g"}}
	b.Update(viewMsg{next, at})
	b.Update(tea.PasteMsg{Content: "y"})
	b.shows(t, "pause stage s?")
	b.strike("y")
	b.settle(t)
	if !slices.Equal(b.o.did, []string{"pause s"}) {
		t.Errorf("the operator did %q", b.o.did)
	}
}

// While an action is under way, the keys of tables work, and no second one begins.
func TestOneActionAtATime(t *testing.T) {
	t.Parallel()
	b := newBoard(working())
	b.strike("2", "p", "y", "3", "c")
	if b.asking {
		t.Error("a second question is asked")
	}
	b.shows(t, "[3 workers 2]", "under way: pause stage s")
	b.settle(t)
	b.strike("c")
	b.shows(t, "cancel item far 5?")
}

func TestErrorsOfActionsAreShownWhole(t *testing.T) {
	t.Parallel()
	b := newBoard(working())
	b.o.err = fmt.Errorf("cancel item src 40: %w: worker 4d976ba8-9f0b-471c-9416-993a13aa10b4 waits for it", operate.ErrStillRunning)
	b.strike("2", "c", "y")
	b.settle(t)
	b.shows(t, "the function does not return", "give dqbridge cancel --abandon src 40 to let its slot go on without it, or restart the worker")
	b.o.err = errors.New("pause: permission \x1b[2Jdenied")
	b.strike("p", "y")
	b.settle(t)
	if text := b.plainScreen(); !strings.Contains(text, `denied`) || strings.Contains(text, "\x1b") {
		t.Errorf("the error is shown as %q", text)
	}
}

func TestKeysOfActionsSayWhereTheyWork(t *testing.T) {
	t.Parallel()
	v := view()
	v.Snapshot.Workers[0].Running = nil
	b := newBoard(v)
	for _, c := range []struct{ keys, text string }{
		{"1 p", "choose one among the stages (2), or a queue (4)"}, {"1 c", "choose its worker (3) or its stage (2)"}, {"3 p", "among the stages"},
		{"3 c", "no item runs there"}, {"2 c", "no item runs there"}, {"4 down p", "no stage reads queue out"}, {"4 / n o n e enter p", "no row is chosen"},
	} {
		b.strike(strings.Fields(c.keys)...)
		b.shows(t, c.text)
		b.strike("esc")
	}
	b.strike("?")
	b.shows(t, "p pause the stage", "c cancel the item")
	if text := b.plainScreen(); strings.Contains(text[strings.Index(text, "up down"):], "…") {
		t.Errorf("a line of the help is cut in 80 columns:\n%s", text)
	}
	b.strike("p")
	if b.asking {
		t.Error("p acts under the help")
	}
}

// Screens fit any size with a question and with a long result.
func TestQuestionsFitAnySize(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{80, 24}, {200, 50}, {30, 8}, {43, 11}} {
		v := working()
		v.Snapshot.Workers[1].Running[0].Source = strings.Repeat("long source ", 40)
		b := newBoard(v)
		b.o.err = errors.New(strings.Repeat("no route ", 100))
		b.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		check := func(what string) {
			lines := b.screen()
			if len(lines) != size[1] {
				t.Errorf("%v, %s: %d lines", size, what, len(lines))
			}
		}
		b.strike("2", "c")
		check("question")
		b.shows(t, "any other key: no")
		b.strike("y")
		check("under way")
		b.settle(t)
		check("result")
		b.shows(t, "no route")
	}
}

// hangs blocks until its context ends.
var hangs = workers.Define("hangs", func(ctx context.Context, _ int) (int, error) {
	<-ctx.Done()
	return 0, context.Cause(ctx)
})

// ask types the key of an action again and again, until it asks about want.
func (s session) ask(t *testing.T, key, want string) {
	t.Helper()
	for {
		s.strike(t, key)
		testkit.Eventually(t, func() bool {
			text := s.screen.String()
			return strings.Contains(text, "any other key: no") || strings.Contains(text, "no item runs")
		}, key+" has an effect")
		if text := s.screen.String(); strings.Contains(text, want) && strings.Contains(text, "any other key: no") {
			return
		}
		s.strike(t, "ng")
		testkit.Eventually(t, func() bool {
			text := s.screen.String()
			return !strings.Contains(text, "any other key: no") && !strings.Contains(text, "no item runs") && !strings.Contains(text, "declined")
		}, "the text about "+key+" goes")
	}
}

// On a terminal, with a worker and a Redis server: the item that hangs is canceled, its stage paused
// and resumed, and each act is noted.
func TestActionsReachFleet(t *testing.T) {
	t.Parallel()
	url := testkit.StartRedis(t).URL()
	ex, err := executor.New(t.Context(), url, executor.Lease(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ex.Close() }()
	if err := ex.Register(hangs); err != nil {
		t.Fatal(err)
	}
	item, err := executor.Submit(t.Context(), ex, hangs, 1)
	if err != nil {
		t.Fatal(err)
	}
	o, err := operate.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = o.Close() }()
	s := start(t, o.Inspector(), o, 80, 24)
	s.strike(t, "3")
	s.see(t, "[3 workers 1]")
	s.ask(t, "c", "cancel item")
	s.strike(t, "y")
	if _, err := item.Result(t.Context()); err == nil || t.Context().Err() != nil {
		t.Errorf("the item ended with %v", err)
	}
	s.see(t, "done: cancel item")
	s.strike(t, "2")
	s.ask(t, "p", "pause stage")
	s.strike(t, "y")
	s.see(t, "done: pause stage")
	s.ask(t, "p", "resume stage")
	s.strike(t, "y")
	s.see(t, "done: resume stage")
	acts, err := o.Acts(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	var verbs []string
	for _, a := range acts {
		verbs = append(verbs, a.Verb)
		if a.By != (operate.Act{}).Name() {
			t.Errorf("%s is noted for %q", a.Verb, a.By)
		}
	}
	if !slices.Equal(verbs, []string{"resume", "pause", "cancel"}) {
		t.Errorf("noted are %q", verbs)
	}
}
