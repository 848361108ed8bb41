package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dqbridge/dqbridge/internal/scale"
	"github.com/dqbridge/dqbridge/internal/watch"
)

// PoolQuery returns the names of the values in a query of /api/v1/scale.
func PoolQuery() []string {
	return []string{"functions", "slots", "target", "utilisation", "min", "max", "idle"}
}

// maxWorkers bounds the numbers of a query.
const maxWorkers = 1_000_000

// pool answers how many workers a pool should have. Its workers is what autoscalers read.
func pool(h *handler, r *http.Request, v watch.View) (any, error) {
	o, err := PoolOptions(r.URL.Query())
	if err != nil {
		return nil, err
	}
	return h.pools.Decide(v, o), nil
}

// PoolOptions returns the options of a pool that a query of /api/v1/scale names.
func PoolOptions(query url.Values) (o scale.Options, err error) {
	if text := query.Get("functions"); text != "" {
		o.Functions = strings.Split(text, ",")
	}
	for name, to := range map[string]*int{"slots": &o.Slots, "min": &o.Min, "max": &o.Max} {
		if *to, err = number(query, name, 0, 0, maxWorkers); err != nil {
			return o, err
		}
	}
	for name, to := range map[string]*time.Duration{"target": &o.Target, "idle": &o.Idle} {
		if text := query.Get(name); text != "" {
			if *to, err = time.ParseDuration(text); err != nil {
				return o, badRequest(fmt.Sprintf("%s=%q", name, text), "give a time such as 60s")
			}
		}
	}
	if text := query.Get("utilisation"); text != "" {
		if o.Utilisation, err = strconv.ParseFloat(text, 64); err != nil {
			return o, badRequest(fmt.Sprintf("utilisation=%q", text), "give a part of 1, such as 0.9")
		}
	}
	if err := o.Check(); err != nil {
		return o, badRequest(err.Error(), "")
	}
	return o, nil
}
