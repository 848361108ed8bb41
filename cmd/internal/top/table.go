package top

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/cmd/internal/cli"
	"github.com/dqbridge/dqbridge/internal/glob"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// A pane is one of the tables of the screen.
type pane interface {
	title() string
	load(v watch.View)        // takes the rows of a view
	move(by int)              // chooses another row
	scroll(height int)        // moves the chosen row into a window of so many rows
	filter(pattern string)    // shows the rows with a cell that matches
	sortNext()                // sorts by the next column
	sortBack()                // sorts the other way round
	status() status           // what is shown
	lines(width int) []string // the heads, and the rows of the window
	details(width int) []string
	act(key string) (action, error) // the action of a key for the chosen row, or why there is none
	print(w io.Writer) error        // all rows, without styles
}

// A status says which rows a pane shows.
type status struct {
	shown, all  int
	sort        string // as the flag of the lists, "" if as listed
	pattern     string
	page, pages int
}

// A table shows rows of one type.
type table[T any] struct {
	name    string
	read    func(watch.View) []T
	columns func(at time.Time) []cli.Column[T]
	key     func(T) string // tells rows apart
	more    func(v watch.View, row T, width int) []string
	acts    map[string]func(v watch.View, row T) (action, error) // by key

	view    watch.View
	all     int             // rows of the view
	heads   []cli.Column[T] // columns for the current view
	rows    []T             // those that match, in order
	head    string          // of the column that sorts, "" if as listed
	back    bool            // sorts the other way round
	pattern string          // of the filter
	chosen  int             // index of the chosen row
	first   int             // index of the first row of the window
	height  int             // of the window
}

func (t *table[T]) title() string { return t.name }

func (t *table[T]) load(v watch.View) {
	t.view, t.heads = v, t.columns(v.Snapshot.At)
	t.arrange()
}

// arrange filters and sorts the rows of the view. The chosen row stays the same if it is still there.
func (t *table[T]) arrange() {
	kept := ""
	if t.chosen < len(t.rows) {
		kept = t.key(t.rows[t.chosen])
	}
	t.rows = slices.Clone(t.read(t.view))
	t.all = len(t.rows)
	if t.pattern != "" {
		t.rows = slices.DeleteFunc(t.rows, func(row T) bool { return !t.matches(row) })
	}
	if i := t.sortColumn(); i >= 0 {
		slices.SortStableFunc(t.rows, func(a, b T) int {
			if t.back {
				a, b = b, a
			}
			return t.heads[i].Compare(a, b)
		})
	}
	if i := slices.IndexFunc(t.rows, func(row T) bool { return t.key(row) == kept }); i >= 0 {
		t.chosen = i
	}
	t.move(0)
}

// matches reports whether a cell that is shown matches the filter: a glob, or a part of its text.
func (t *table[T]) matches(row T) bool {
	text := t.pattern
	if !strings.ContainsAny(text, `*?[\`) {
		text = "*" + text + "*"
	}
	pattern, err := glob.Parse(text)
	return err == nil && slices.ContainsFunc(t.shown(), func(c cli.Column[T]) bool { return pattern.Matches(c.Text(row)) })
}

// shown returns the columns of the table; the details have all of them.
func (t *table[T]) shown() []cli.Column[T] { return narrow(t.heads) }

// narrow returns the columns that a list has without --wide.
func narrow[T any](columns []cli.Column[T]) []cli.Column[T] {
	return slices.DeleteFunc(slices.Clone(columns), func(c cli.Column[T]) bool { return c.Wide })
}

// sortColumn returns the index of the column that sorts, -1 for none.
func (t *table[T]) sortColumn() int {
	return slices.IndexFunc(t.heads, func(c cli.Column[T]) bool { return c.Head == t.head })
}

func (t *table[T]) move(by int) {
	t.chosen = max(0, min(t.chosen+by, len(t.rows)-1))
	t.scroll(t.height)
}

func (t *table[T]) scroll(height int) {
	t.height = height
	if t.chosen >= t.first+height {
		t.first = t.chosen - height + 1
	}
	t.first = max(0, min(t.first, t.chosen, len(t.rows)-height))
}

func (t *table[T]) filter(pattern string) {
	if _, err := glob.Parse(pattern); err != nil { // it is not typed to its end
		return
	}
	t.pattern = pattern
	t.arrange()
}

// sortNext sorts by the next of the columns that are shown, and behind the last one as listed. The
// largest numbers come first.
func (t *table[T]) sortNext() {
	shown := t.shown()
	i := slices.IndexFunc(shown, func(c cli.Column[T]) bool { return c.Head == t.head }) + 1
	if t.head, t.back = "", false; i < len(shown) {
		t.head = shown[i].Head
		if len(t.rows) > 0 {
			_, isText := shown[i].Cell(t.rows[0]).(string)
			t.back = !isText
		}
	}
	t.arrange()
}

func (t *table[T]) sortBack() {
	t.back = !t.back
	t.arrange()
}

func (t *table[T]) status() status {
	s := status{shown: len(t.rows), all: t.all, sort: strings.ToLower(t.head), pattern: t.pattern}
	if t.back && s.sort != "" {
		s.sort = "-" + s.sort
	}
	if t.height > 0 {
		s.page, s.pages = t.first/t.height+1, (len(t.rows)+t.height-1)/t.height
	}
	return s
}

func (t *table[T]) lines(width int) []string {
	window := t.rows[t.first:min(t.first+t.height, len(t.rows))]
	lines := grid(t.shown(), window, width-len(marker))
	for i := range lines {
		switch {
		case i == 0:
			lines[i] = blank + headStyle.Render(lines[i])
		case t.first+i-1 == t.chosen:
			lines[i] = chosenStyle.Render(marker + plain(lines[i]))
		default:
			lines[i] = blank + lines[i]
		}
	}
	if len(t.rows) == 0 {
		lines = append(lines, blank+"none")
	}
	return lines
}

// details returns all cells of the chosen row, each on lines of its own, and what belongs to it.
func (t *table[T]) details(width int) []string {
	if t.chosen >= len(t.rows) {
		return []string{"it is not there any more"}
	}
	row, longest := t.rows[t.chosen], 0
	for _, c := range t.heads {
		longest = max(longest, len(c.Head))
	}
	var lines []string
	for _, c := range t.heads {
		for i, part := range wrap(c.Text(row), width-longest-2) {
			head := c.Head
			if i > 0 {
				head = ""
			}
			lines = append(lines, headStyle.Render(fmt.Sprintf("%-*s", longest, head))+"  "+part)
		}
	}
	return append(lines, t.more(t.view, row, width)...)
}

func (t *table[T]) act(key string) (action, error) {
	do := t.acts[key]
	switch {
	case do == nil:
		return action{}, errors.New(places[key])
	case t.chosen >= len(t.rows):
		return action{}, errors.New("no row is chosen")
	}
	return do(t.view, t.rows[t.chosen])
}

func (t *table[T]) print(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "\n%s: %d\n", t.name, len(t.rows)); err != nil || len(t.rows) == 0 {
		return cli.AsOutput(err)
	}
	return cli.WriteTable(w, t.rows, t.shown(), 0)
}

// place joins the parts of a key.
func place(partition int, names ...string) string {
	return fmt.Sprint(partition, " ", strings.Join(names, " "))
}
