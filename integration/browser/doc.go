// Package browser tests the pages of the dashboard in a real Chromium, with workers on a real
// redis-server. It is a module of its own, so that the library does not need its dependencies.
package browser
