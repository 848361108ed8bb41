package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/dqbridge/dqbridge/executor"
)

// requestTimeout bounds a request, callTimeout each call of a function that it makes.
const (
	requestTimeout = 5 * time.Second
	callTimeout    = time.Second
)

// handler answers the requests with the fleet that an Executor is connected to.
func handler(ex *executor.Executor) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /distance", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		km, err := ask(ctx, ex, Trip{r.FormValue("from"), r.FormValue("to")})
		if err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]int{"km": km}) // an error means that the client has gone
	})
	return mux
}

// ask has the functions called and waits for the result. If ctx ends first, it cancels the call.
func ask(ctx context.Context, ex *executor.Executor, trip Trip) (int, error) {
	future, err := executor.Submit(ctx, ex, kilometres, trip,
		executor.Timeout(callTimeout), // of one attempt
		executor.Retries(2))           // in other workers, if there are some
	if err != nil {
		return 0, err
	}
	km, err := future.Result(ctx)
	if ctx.Err() == nil {
		return km, err
	}
	// The client has gone or the request took too long: no worker shall go on with it.
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return km, errors.Join(err, future.Cancel(cleanup))
}

// status is the HTTP status of an error.
func status(err error) int {
	var item *executor.ItemError
	switch {
	case errors.Is(err, context.DeadlineExceeded): // of the request, or of the last attempt
		return http.StatusGatewayTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, executor.ErrCanceled):
		return 499 // the client has gone: the answer is for the log
	case errors.Is(err, executor.ErrClosed): // the service is ending
		return http.StatusServiceUnavailable
	case errors.As(err, &item) && item.Code == "error": // a function refused the input
		return http.StatusUnprocessableEntity
	default: // a panic, a worker that crashed, a lost item
		return http.StatusInternalServerError
	}
}
