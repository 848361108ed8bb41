// Package testkit is what the tests of this project stand on: real Redis
// servers in every topology, a proxy that loses replies, a namespace a test and waiting for
// conditions. Only tests import it.
package testkit
