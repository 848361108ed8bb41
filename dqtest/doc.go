// Package dqtest tests functions and pipelines without a server, in virtual time.
//
// Values runs a whole pipeline in one line. Its argument build is the program's own function that
// makes the stages:
//
//	func TestInvoices(t *testing.T) {
//		got := dqtest.Values(t, invoices, []Order{{ID: 1}, {ID: 2}}, price, tax)
//		...
//	}
//
// Run gives a test a Fleet: a broker inside the test, to which Executors and workers connect as
// separate processes. A test can kill, stop and continue a Process, drop its replies, and restart
// the broker empty:
//
//	func TestAWorkerDies(t *testing.T) {
//		dqtest.Run(t, func(t *testing.T, f *dqtest.Fleet) {
//			ex, _ := f.StartExecutor()
//			f.StartWorker(workers.Functions(price)).KillAfter(3)
//			f.StartWorker(workers.Functions(price))
//			...
//		})
//	}
//
// # Virtual time
//
// A test of Run is a bubble of testing/synctest: its clock advances when all goroutines of the test
// wait, and then at once to the next timer. So a lease of ten seconds takes no real time, a
// function may sleep for an hour, and a test does not depend on the load of the machine. The broker
// uses the same clock.
//
// Sockets, files, processes, cgo and goroutines started outside the bubble have no virtual time. A
// goroutine that waits for one of these stops the clock. Functions that call a network service need
// a fake for it, for example a net.Pipe.
//
// # Faults
//
// A process of the test is a set of goroutines and connections. Kill cuts the connections, refuses
// new ones and cancels the contexts of running functions, so the broker sees the same as after kill
// -9. A goroutine cannot be killed, so a function that ignores its context keeps running, but its
// result reaches no queue. Stop holds back requests and replies; functions keep running.
//
// The broker of the test is the one that executor.New uses for an empty address. It has no disk, no
// replicas and no memory limit: to test failovers, full disks and full memory, use a real Redis.
//
// # Leaks
//
// When the test function returns, Run ends all processes and waits until the leases of dead ones
// have expired. Then a key left in the broker, or a goroutine left in the bubble, is an error of
// the test. Named queues stay until they are deleted: delete them with executor.Delete.
package dqtest
