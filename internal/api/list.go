package api

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/glob"
)

// A List is a part of a list.
type List[T any] struct {
	At    time.Time `json:"at"` // of the view, by the clock of Redis
	Items []T       `json:"items"`
	Next  string    `json:"next,omitempty"` // the parameter after for the next part; "" if there is none
	Total int       `json:"total"`          // rows that match the filter
}

// The number of rows of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// list returns the rows that a query asks for, by its parameters filter, sort, limit and after. key
// returns the name of a row, which no other row has.
func list[T any](query url.Values, at time.Time, rows []T, key func(T) string) (List[T], error) {
	limit, err := number(query, "limit", defaultLimit, 1, maxLimit)
	if err != nil {
		return List[T]{}, err
	}
	rows, err = filtered(query.Get("filter"), rows)
	if err == nil {
		rows, err = sorted(query.Get("sort"), rows)
	}
	if err != nil {
		return List[T]{}, err
	}
	first, err := behind(query.Get("after"), rows, key)
	if err != nil {
		return List[T]{}, err
	}
	l := List[T]{At: at, Items: append([]T{}, rows[first:min(first+limit, len(rows))]...), Total: len(rows)}
	if end := first + len(l.Items); end < len(rows) {
		l.Next = fmt.Sprintf("%d:%s", end, key(rows[end-1]))
	}
	return l, nil
}

// number returns a parameter that is a number.
func number(query url.Values, name string, unset, least, most int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return unset, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, badRequest(fmt.Sprintf("%s=%q", name, text), fmt.Sprintf("give a number from %d to %d", least, most))
	}
	return n, nil
}

// filtered returns the rows with a text that matches a glob.
func filtered[T any](text string, rows []T) ([]T, error) {
	rows = slices.Clone(rows)
	if text == "" {
		return rows, nil
	}
	pattern, err := glob.Parse(text)
	if err != nil {
		return nil, badRequest(fmt.Sprintf("filter=%q: %v", text, err), "give a pattern such as orders*")
	}
	return slices.DeleteFunc(rows, func(row T) bool { return !slices.ContainsFunc(texts(reflect.ValueOf(row)), pattern.Matches) }), nil
}

// texts returns the texts of a record: its strings and lists of strings.
func texts(record reflect.Value) (all []string) {
	for i := range record.NumField() {
		switch f := record.Field(i).Interface().(type) {
		case string:
			all = append(all, f)
		case []string:
			all = append(all, f...)
		}
	}
	return all
}

// sorted sorts rows by the name of a field in JSON. A minus before it turns the order round.
func sorted[T any](by string, rows []T) ([]T, error) {
	if by == "" {
		return rows, nil
	}
	name, backwards := strings.CutPrefix(by, "-")
	index, names := -1, []string{}
	for i, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if !isComparable(f.Type) {
			continue
		}
		field, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if names = append(names, field); field == name {
			index = i
		}
	}
	if index < 0 {
		return nil, badRequest(fmt.Sprintf("sort=%q: there is no such field", by), "use one of "+strings.Join(names, ", "))
	}
	slices.SortStableFunc(rows, func(a, b T) int {
		order := compare(reflect.ValueOf(a).Field(index), reflect.ValueOf(b).Field(index))
		if backwards {
			return -order
		}
		return order
	})
	return rows, nil
}

func isComparable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return t == reflect.TypeFor[time.Time]()
}

func compare(a, b reflect.Value) int {
	switch a.Kind() {
	case reflect.Bool:
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	case reflect.String:
		return cmp.Compare(a.String(), b.String())
	case reflect.Float64:
		return cmp.Compare(a.Float(), b.Float())
	case reflect.Struct:
		return a.Interface().(time.Time).Compare(b.Interface().(time.Time))
	}
	return cmp.Compare(a.Int(), b.Int())
}

// behind returns the index of the row behind the one that the parameter after names. If that row is
// gone, it is the row in its place.
func behind[T any](after string, rows []T, key func(T) string) (int, error) {
	if after == "" {
		return 0, nil
	}
	text, name, found := strings.Cut(after, ":")
	index, err := strconv.Atoi(text)
	if !found || err != nil || index < 0 {
		return 0, badRequest(fmt.Sprintf("after=%q", after), "give the next of an earlier answer")
	}
	if i := slices.IndexFunc(rows, func(row T) bool { return key(row) == name }); i >= 0 {
		return i + 1, nil
	}
	return min(max(0, index-1), len(rows)), nil
}
