package page

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/operate"
)

// maxForm bounds the bytes of a form.
const maxForm = 64 << 10

// An action is a call of the Operator that a form makes.
type action struct {
	done  string // shown afterwards
	run   func(ctx context.Context, p *Page, form url.Values, act operate.Act) error
	start func(ctx context.Context, p *Page, form url.Values, act operate.Act) (task, error) // in place of run, if it may take long
}

// acts lists the actions by the last part of their paths.
var acts = map[string]action{
	"pause": {done: "The stage is paused.", run: func(ctx context.Context, p *Page, form url.Values, act operate.Act) error {
		_, err := p.Operator.Pause(ctx, form.Get("stage"), act)
		return err
	}},
	"resume": {done: "The stage goes on.", run: func(ctx context.Context, p *Page, form url.Values, act operate.Act) error {
		_, err := p.Operator.Resume(ctx, form.Get("stage"), act)
		return err
	}},
	"cancel": {done: "The item is canceled.", run: func(ctx context.Context, p *Page, form url.Values, act operate.Act) error {
		return p.onItem(ctx, form, act, p.Operator.Cancel)
	}},
	"drain": {done: "The worker drains.", run: func(ctx context.Context, p *Page, form url.Values, act operate.Act) error {
		if form.Get("last") != "" {
			return p.Operator.DrainLast(ctx, form.Get("worker"), act)
		}
		return p.Operator.Drain(ctx, form.Get("worker"), act)
	}},
	"undrain": {done: "The worker takes items again.", run: func(ctx context.Context, p *Page, form url.Values, act operate.Act) error {
		return p.Operator.Undrain(ctx, form.Get("worker"), act)
	}},
	"purge": {done: "The waiting items are dropped.", start: func(_ context.Context, p *Page, form url.Values, act operate.Act) (task, error) {
		queue := form.Get("queue")
		if err := confirmed(form, "queue"); err != nil {
			return task{}, err
		}
		return task{"queue " + queue, "items", p.unread(queue), func(ctx context.Context, progress func(int64)) error {
			_, err := p.Operator.Purge(ctx, queue, act, progress)
			return err
		}}, nil
	}},
	"delete": {done: "The queue is deleted.", run: func(ctx context.Context, p *Page, form url.Values, act operate.Act) error {
		if err := confirmed(form, "queue"); err != nil {
			return err
		}
		return p.Operator.Delete(ctx, form.Get("queue"), act)
	}},
	"retry": {done: "The dead letters are retried.", start: func(ctx context.Context, p *Page, form url.Values, act operate.Act) (task, error) {
		return p.onLetters(ctx, form, func(ctx context.Context, ids []string) (int64, error) {
			return p.Operator.RetryLetters(ctx, ids, form.Get("to"), act)
		})
	}},
	"drop": {done: "The dead letters are dropped.", start: func(ctx context.Context, p *Page, form url.Values, act operate.Act) (task, error) {
		return p.onLetters(ctx, form, func(ctx context.Context, ids []string) (int64, error) {
			return p.Operator.DropLetters(ctx, ids, act)
		})
	}},
	"stop": {done: "The action stops.", run: func(_ context.Context, p *Page, form url.Values, _ operate.Act) error {
		return p.long.stop(form.Get("act"))
	}},
}

// onLetters returns a task that does something with the dead letters which a form selects.
func (p *Page) onLetters(ctx context.Context, form url.Values, do func(context.Context, []string) (int64, error)) (task, error) {
	ids, err := p.letters(ctx, form)
	return task{"dead letters", "letters", int64(len(ids)), func(ctx context.Context, progress func(int64)) error {
		return inParts(ctx, ids, progress, do)
	}}, err
}

// unread returns the number of items of a queue that a purge drops, as far as the newest state knows.
func (p *Page) unread(queue string) (items int64) {
	s, _ := p.keeper.now()
	if s == nil {
		return 0
	}
	for _, q := range s.Snapshot.Queues {
		if q.Name == queue {
			items = q.Unread()
		}
	}
	return items
}

// confirmed returns an error if the user has not typed the name of an object again.
func confirmed(form url.Values, object string) error {
	if form.Get("confirm") != form.Get(object) {
		return fmt.Errorf("the typed name differs from that of the %s: nothing was done", object)
	}
	return nil
}

// onItem does something with a running item.
func (p *Page) onItem(
	ctx context.Context, form url.Values, act operate.Act, do func(context.Context, string, int64, operate.Act) (inspect.Call, error),
) error {
	offset, err := strconv.ParseInt(form.Get("offset"), 10, 64)
	if err != nil {
		return fmt.Errorf("offset %q: it is no number", form.Get("offset"))
	}
	_, err = do(ctx, form.Get("source"), offset, act)
	return err
}

// letters returns the ids of the dead letters that a form selects. All of them need their number as
// a confirmation.
func (p *Page) letters(ctx context.Context, form url.Values) (ids []string, err error) {
	if form.Get("all") == "" {
		if len(form["id"]) == 0 {
			return nil, fmt.Errorf("no dead letter is selected: nothing was done")
		}
		return form["id"], nil
	}
	for letter, err := range p.inspector.DeadLetters(ctx) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, letter.ID)
	}
	if form.Get("confirm") != strconv.Itoa(len(ids)) {
		return nil, fmt.Errorf("there are %d dead letters, and %q was typed: nothing was done", len(ids), form.Get("confirm"))
	}
	return ids, nil
}

// act runs an action and goes back to the page of its form, which shows an error.
func (p *Page) act(w http.ResponseWriter, r *http.Request, name string) {
	if p.Operator == nil {
		p.fail(w, r, http.StatusForbidden, "This dashboard only reads. Start it with --actions.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	form := r.PostForm
	if !equal(form.Get("csrf"), p.formToken(r)) {
		p.fail(w, r, http.StatusForbidden, "The form is not of this process: go back, and load the page again.")
		return
	}
	back, _ := url.Parse(p.local(form.Get("back"))) // local returns an address
	ended, err := p.do(r.Context(), name, form)
	if err != nil {
		p.Log.WarnContext(r.Context(), "an action has failed", "action", name, "err", err)
		p.complain(w, r, back, err)
		return
	}
	q := back.Query()
	if ended {
		p.Log.InfoContext(r.Context(), "an action is done", "action", name, "by", p.As)
		q.Set("done", name)
	}
	if name == "delete" { // the page of the queue is gone
		back.Path, q = p.Prefix+"/queues", url.Values{"done": {name}}
	}
	back.RawQuery = q.Encode()
	http.Redirect(w, r, back.RequestURI(), http.StatusSeeOther)
}

// do runs an action. It returns false if the action goes on after the request: pages show its
// progress.
func (p *Page) do(ctx context.Context, name string, form url.Values) (ended bool, err error) {
	a, act := acts[name], operate.Act{By: p.As, Reason: strings.TrimSpace(form.Get("reason"))}
	if a.start == nil {
		return true, a.run(ctx, p, form, act)
	}
	t, err := a.start(ctx, p, form, act)
	if err != nil {
		return false, err
	}
	long, err := p.long.begin(name, p.As, t) //nolint:contextcheck // it outlives the request
	if err != nil {
		return false, err
	}
	patience := time.NewTimer(quickAct)
	defer patience.Stop()
	select {
	case <-long.ended:
		return true, p.long.result(long)
	case <-patience.C:
	case <-ctx.Done():
	}
	return false, nil
}

// complain shows the page of a form with the error of its action.
func (p *Page) complain(w http.ResponseWriter, r *http.Request, back *url.URL, failure error) {
	v, ok := find(strings.TrimPrefix(back.Path, p.Prefix))
	s, err := p.keeper.first(r.Context())
	if !ok || err != nil {
		p.fail(w, r, http.StatusConflict, failure.Error())
		return
	}
	asked := r.Clone(r.Context())
	asked.URL = back
	f := p.frame(asked, v, s)
	p.fill(r.Context(), &f, v, s)
	f.Problem, f.Done = failure.Error(), ""
	p.write(w, http.StatusConflict, "page", f)
}

// doneText returns the sentence about an action that is done.
func doneText(name string) string { return acts[name].done }

// shownActs is the number of acts that a page shows.
const shownActs = 200

func readActs(ctx context.Context, p *Page, _ *state, q url.Values) (any, error) {
	if p.Operator == nil {
		return nil, missing("This dashboard only reads. Start it with --actions to see what operators have done.")
	}
	found, err := p.Operator.Acts(ctx, shownActs)
	if err != nil {
		return nil, err
	}
	return tableOf(q, found, func(a inspect.Act) []string { return []string{a.By, a.Verb, a.Object, a.Reason} }, []column[inspect.Act]{
		{"at", "Time", false, by(func(a inspect.Act) int64 { return a.At.UnixMilli() })},
		{"by", "Operator", false, by(func(a inspect.Act) string { return a.By })},
		{"verb", "Action", false, by(func(a inspect.Act) string { return a.Verb })},
		{"object", "Object", false, by(func(a inspect.Act) string { return a.Object })},
		{"count", "Items", true, by(func(a inspect.Act) int64 { return a.Count })},
		{"reason", "Reason", false, by(func(a inspect.Act) string { return a.Reason })},
	}), nil
}

// A control is the form of an action.
type control struct {
	Action, Label string
	CSRF, Back    string
	Fields        []field // that are sent as they are
	Ask           string  // question before the action; "" for none
	Confirm       string  // what the user has to type, "" for nothing
	Danger        bool
	To            bool   // asks for a queue
	Tag           string // id of its element
}

// A field is a hidden value of a form.
type field struct{ Name, Value string }

// controlOf returns a form, or nil if the page only reads. fields are names and values.
func controlOf(f frame, action, label, ask, confirm string, fields ...any) *control {
	if !f.Actions {
		return nil
	}
	c := &control{Action: action, Label: label, CSRF: f.CSRF, Back: f.back(), Ask: ask, Confirm: confirm, Danger: confirm != ""}
	for i := 0; i+1 < len(fields); i += 2 {
		c.Fields = append(c.Fields, field{fmt.Sprint(fields[i]), fmt.Sprint(fields[i+1])})
	}
	c.Tag = tag(action, fmt.Sprint(c.Fields))
	return c
}

// back returns the address of a page without the result of an earlier action.
func (f frame) back() string {
	u, err := url.Parse(f.At)
	if err != nil {
		return f.Prefix + "/"
	}
	q := u.Query()
	q.Del("done")
	u.RawQuery = q.Encode()
	return u.RequestURI()
}
