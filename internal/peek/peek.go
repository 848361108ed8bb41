// Package peek finds items of a queue by a text, without taking them.
package peek

import (
	"context"
	"strings"

	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/inspect"
)

// Searched is the number of items that a search for a text looks at.
const Searched = 10_000

// pageItems is the number of items of one call.
const pageItems = 1000

// Items returns at most count items of a queue from a position on that contain a text, and the position
// behind the last one that it has read, "" at the end of the queue. It looks at Searched items.
func Items(ctx context.Context, o executor.Inspector, queue, from, text string, count int) (items []inspect.Item, next string, err error) {
	for read := 0; ; {
		size := min(count-len(items), pageItems)
		if text != "" {
			size = pageItems
		}
		page, err := o.Peek(ctx, queue, from, size)
		if err != nil {
			return nil, "", err
		}
		for n, item := range page.Items {
			if !strings.Contains(item.Text, text) {
				continue
			}
			items = append(items, item)
			if len(items) == count && n+1 < len(page.Items) {
				return items, page.Items[n+1].Position, nil
			}
		}
		read, from = read+len(page.Items), page.Next
		if from == "" || len(items) == count || read >= Searched {
			return items, from, nil
		}
	}
}
