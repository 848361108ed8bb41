package integration

import "testing"

// plants prepare a Redis with the cause of a symptom, by the name that docs/guides/troubleshooting.md gives it.
var plants = map[string]func(t *testing.T, address string){}
