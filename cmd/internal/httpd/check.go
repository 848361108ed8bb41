package httpd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Bounds of a health check.
const (
	checkLimit = 5 * time.Second
	checkBytes = 4 << 10 // of the answer that an error has
)

// ErrInvalidURL is the error of Check for a text that is no address of a server.
var ErrInvalidURL = errors.New("it is no URL such as http://127.0.0.1:9464/readyz")

// Check asks a server for its health. It returns an error with the answer unless the status is 200.
func Check(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q: %w", address, ErrInvalidURL)
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	// A check is of this machine, without the proxy of the environment.
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", u.Redacted(), err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, checkBytes))
	if err != nil {
		return fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", u.Redacted(), response.Status, text)
	}
	return nil
}
