// Package testkit provides the basis of this project's tests: real Redis servers in every topology,
// a proxy that drops replies, a namespace for each test, and waiting for conditions. Only tests
// import it.
package testkit
