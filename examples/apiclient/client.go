package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dqbridge/dqbridge/workers"
)

// score is a handle for the function that the workers have.
var score = workers.Remote[string, int]("score")

// scorer is the function: it asks the API for the score of a word.
func scorer(api string, client *http.Client) workers.Func[string, int] {
	return workers.Define(score.Name(), func(ctx context.Context, word string) (points int, err error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, api+"/score?word="+url.QueryEscape(word), nil)
		if err != nil {
			return 0, workers.Permanent(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		if err := failure(answer); err != nil {
			return 0, err
		}
		err = json.NewDecoder(answer.Body).Decode(&points)
		return points, err
	})
}

// failure is the error of an answer, nil if there is none. Its kind decides about a further attempt.
func failure(answer *http.Response) error {
	err := errors.New(answer.Status)
	switch {
	case answer.StatusCode == http.StatusOK:
		return nil
	case answer.StatusCode == http.StatusTooManyRequests: // others use the API too
		pause, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 if there is none
		return workers.RetryAfter(err, time.Duration(pause)*time.Second)
	case answer.StatusCode >= http.StatusInternalServerError: // a fault of the API
		return err
	default: // a further attempt would get the same answer
		return workers.Permanent(err)
	}
}
