package page

import (
	"context"
	"net/url"
	"strconv"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
	"github.com/dqbridge/dqbridge/internal/doctor"
)

// A wherePage is the answer to a question for an item.
type wherePage struct {
	Source, Offset string
	Locations      []inspect.Location
	Problem        string
}

func readWhere(ctx context.Context, p *Page, _ *state, q url.Values) (any, error) {
	content := wherePage{Source: q.Get("source"), Offset: q.Get("offset")}
	if content.Source == "" {
		return content, nil
	}
	offset, err := strconv.ParseInt(content.Offset, 10, 64)
	if err != nil || offset < 0 {
		content.Problem = "The offset is a number from 0 on."
		return content, nil
	}
	if content.Locations, err = p.inspector.Where(ctx, content.Source, offset); err != nil {
		content.Problem = err.Error()
	}
	return content, nil
}

// A lettersPage is a part of the dead letters.
type lettersPage struct {
	Letters    []executor.DeadLetter
	Total      int64
	First      int
	Prev, Next string
	Open       string   // id of the letter whose items are shown
	Items      []string // of this letter
	Sizes      []int    // of these items
}

func readLetters(ctx context.Context, p *Page, s *state, q url.Values) (any, error) {
	number, err := strconv.Atoi(q.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	content := lettersPage{Total: s.Snapshot.Letters, First: (number-1)*pageRows + 1, Open: q.Get("id")}
	if number > 1 {
		content.Prev = with(q, "page", strconv.Itoa(number-1), "id", "")
	}
	at := 0
	for letter, err := range p.inspector.DeadLetters(ctx) {
		if err != nil {
			return nil, err
		}
		if at++; at > number*pageRows {
			content.Next = with(q, "page", strconv.Itoa(number+1), "id", "")
			break
		}
		if at >= content.First {
			content.Letters = append(content.Letters, letter)
		}
	}
	if content.Open == "" {
		return content, nil
	}
	return content, p.openLetter(ctx, &content)
}

// openLetter reads the items of the letter that is shown.
func (p *Page) openLetter(ctx context.Context, content *lettersPage) error {
	items, err := p.inspector.DeadLetterItems(ctx, content.Open)
	if err != nil {
		return missing("There is no such dead letter. It may be retried or dropped.")
	}
	for _, item := range items[:min(len(items), shownItems)] {
		text := ""
		if !p.HidePayloads {
			text = string(item[:min(len(item), maxText+1)])
		}
		content.Items, content.Sizes = append(content.Items, text), append(content.Sizes, len(item))
	}
	return nil
}

// A redisPage is the server and the examination of the namespace.
type redisPage struct {
	inspect.Server
	Problem  string
	Load     inspect.Load
	Findings []doctor.Finding
}

func readRedis(_ context.Context, _ *Page, s *state, _ url.Values) (any, error) {
	content := redisPage{Server: s.Server, Load: s.Snapshot.Redis, Findings: s.findings}
	if s.ServerErr != nil {
		content.Problem = s.ServerErr.Error()
	}
	return content, nil
}
