package page

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
)

// A view is one kind of page. Its read returns the data of its template.
type view struct {
	path, title, nav, template string
	read                       func(ctx context.Context, p *Page, s *state, q url.Values) (any, error)
}

// views lists the pages; the first is the home page.
var views = []view{
	{"/", "Flows", "flows", "flows", readFlows},
	{"/ended", "Ended flows", "flows", "ended", readEnded},
	{"/flow", "Flow", "flows", "flow", readFlow},
	{"/stage", "Stage", "flows", "stage", readStage},
	{"/queues", "Queues", "queues", "queues", readQueues},
	{"/queue", "Queue", "queues", "queue", readQueue},
	{"/workers", "Workers", "workers", "workers", readWorkers},
	{"/worker", "Worker", "workers", "worker", readWorker},
	{"/errors", "Errors", "errors", "errors", readErrors},
	{"/dead", "Dead letters", "dead", "dead", readLetters},
	{"/where", "Where", "where", "where", readWhere},
	{"/redis", "Redis", "redis", "redis", readRedis},
	{"/acts", "Actions", "acts", "acts", readActs},
}

// pattern returns the pattern of the path for a ServeMux.
func (v view) pattern() string {
	if v.path == "/" {
		return "/{$}"
	}
	return v.path
}

// find returns the view of a path without the prefix.
func find(path string) (view, bool) {
	for _, v := range views {
		if v.path == path {
			return v, true
		}
	}
	return view{}, false
}

// A missing error says that the subject of a page does not exist.
type missing string

func (m missing) Error() string { return string(m) }

func isMissing(err error) bool {
	var m missing
	return errors.As(err, &m)
}

// A frame is a page with all that surrounds its content.
type frame struct {
	Title, Nav, Template string
	Name, Prefix         string
	At                   string // path and query of the page
	Theme                string // "dark", "light" or "" for that of the system
	Actions              bool
	As, CSRF             string
	Done, Problem        string    // of the last action
	Long                 []longRow // actions that are under way, or have ended lately
	State                *state    // nil if nothing is known yet
	Content              any

	query url.Values
}

func (p *Page) frame(r *http.Request, v view, s *state) frame {
	q := r.URL.Query()
	f := frame{
		Title: cmp.Or(q.Get("name"), q.Get("id"), v.title), Nav: v.nav, Template: v.template, Name: p.Name, Prefix: p.Prefix, At: r.URL.RequestURI(),
		Actions: p.Operator != nil, As: p.As, CSRF: p.formToken(r), Done: doneText(q.Get("done")), State: s, query: q,
	}
	if c, err := r.Cookie("dq_theme"); err == nil && (c.Value == "dark" || c.Value == "light") {
		f.Theme = c.Value
	}
	f.Long = p.long.rows(f)
	return f
}

// Away is why the namespace cannot be read now, "" if it can.
func (f frame) Away() string {
	if f.State == nil || f.State.Err == nil {
		return ""
	}
	return f.State.Err.Error()
}

// Now is the time of the state by the clock of Redis.
func (f frame) Now() time.Time {
	if f.State == nil {
		return time.Time{}
	}
	return f.State.Snapshot.At
}

// Banner returns the three most urgent findings.
func (f frame) Banner() []doctor.Finding {
	if f.State == nil {
		return nil
	}
	return f.State.urgent[:min(3, len(f.State.urgent))]
}

// More is the number of further urgent findings.
func (f frame) More() int {
	if f.State == nil {
		return 0
	}
	return max(0, len(f.State.urgent)-3)
}

// maxPaused bounds the paused stages of the banner.
const maxPaused = 3

// Paused returns stages that an operator has paused.
func (f frame) Paused() (stages []inspect.Stage) {
	if f.State == nil {
		return nil
	}
	for _, st := range f.State.Snapshot.Stages {
		if st.Pause != nil && len(stages) < maxPaused {
			stages = append(stages, st)
		}
	}
	return stages
}

// execute returns the text of a template.
func (p *Page) execute(name string, data any) ([]byte, error) {
	var text bytes.Buffer
	if err := p.templates.ExecuteTemplate(&text, name, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// include executes the template of a view inside of a frame.
func (p *Page) include(f frame) (template.HTML, error) {
	text, err := p.execute(f.Template, f)
	return template.HTML(text), err //nolint:gosec // the text comes from a template, which has escaped it
}
