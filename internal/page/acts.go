package page

import (
	"context"
	"net/http"
	"net/url"
)

const maxForm = 64 << 10

type Operator interface{}

type action func(ctx context.Context, o Operator, form url.Values) error

var acts = map[string]action{}

func (p *Page) act(w http.ResponseWriter, r *http.Request, a action) {}

func doneText(word string) string { return "" }

func readActs(_ context.Context, p *Page, _ *state, _ url.Values) (any, error) { return nil, nil }
