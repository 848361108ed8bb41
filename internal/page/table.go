package page

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// pageRows is the number of rows of one page of a table.
const pageRows = 50

// A column of a table can be sorted by.
type column[T any] struct {
	key, label string
	number     bool // its cells are numbers, the greatest of which come first
	order      func(a, b T) int
}

// by returns an order by a value of the rows.
func by[T any, V cmp.Ordered](value func(T) V) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(value(a), value(b)) }
}

// A table is a list as a page shows it: filtered, sorted and cut to one page.
type table[T any] struct {
	Rows            []T
	Heads           []head
	Filter, Sort    string
	Total, Matching int
	First, Last     int    // numbers of the rows on this page, from 1
	Prev, Next      string // addresses of the pages beside this one, "" for none
}

// A head is the title of a column.
type head struct {
	Label, Address string
	Order          string // "ascending", "descending" or ""
	Number         bool
}

// tableOf applies the parameters q, sort and page of an address to rows. texts returns the texts of a
// row that the filter looks at. The initial order is that of rows.
func tableOf[T any](q url.Values, rows []T, texts func(T) []string, columns []column[T]) table[T] {
	t := table[T]{Filter: strings.TrimSpace(q.Get("q")), Sort: q.Get("sort"), Total: len(rows)}
	t.Rows = slices.Clone(rows)
	if t.Filter != "" {
		t.Rows = slices.DeleteFunc(t.Rows, func(row T) bool { return !matches(t.Filter, texts(row)) })
	}
	t.Matching = len(t.Rows)
	t.sort(q, columns)
	pages := max(1, (t.Matching+pageRows-1)/pageRows)
	page, err := strconv.Atoi(q.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	page = min(page, pages)
	if page > 1 {
		t.Prev = with(q, "page", strconv.Itoa(page-1))
	}
	if page < pages {
		t.Next = with(q, "page", strconv.Itoa(page+1))
	}
	t.Rows = t.Rows[(page-1)*pageRows : min(t.Matching, page*pageRows)]
	t.First, t.Last = min(t.Matching, (page-1)*pageRows+1), (page-1)*pageRows+len(t.Rows)
	return t
}

// sort sorts the rows and sets the heads.
func (t *table[T]) sort(q url.Values, columns []column[T]) {
	key, descending := strings.CutPrefix(t.Sort, "-")
	for _, c := range columns {
		h := head{Label: c.label, Number: c.number}
		next := c.key
		if c.number {
			next = "-" + c.key
		}
		if c.key == key && c.order != nil {
			slices.SortStableFunc(t.Rows, func(a, b T) int {
				if descending {
					return c.order(b, a)
				}
				return c.order(a, b)
			})
			h.Order, next = "ascending", "-"+c.key
			if descending {
				h.Order, next = "descending", c.key
			}
		}
		if c.order != nil {
			h.Address = with(q, "sort", next, "page", "")
		}
		t.Heads = append(t.Heads, h)
	}
}

// matches reports whether one of the texts contains a filter, in letters of any case.
func matches(filter string, texts []string) bool {
	filter = strings.ToLower(filter)
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(text), filter) })
}

// with returns an address with some parameters changed; an empty value removes one.
func with(q url.Values, params ...string) string {
	next := url.Values{}
	for name, values := range q {
		next[name] = values
	}
	next.Del("done")
	for i := 0; i+1 < len(params); i += 2 {
		if next.Del(params[i]); params[i+1] != "" {
			next.Set(params[i], params[i+1])
		}
	}
	return "?" + next.Encode()
}
