// Package dqtest tests functions and pipelines without a server, in virtual time.
//
// Values runs a whole pipeline in one line. build is the function of the program that makes
// the stages:
//
//	func TestInvoices(t *testing.T) {
//		got := dqtest.Values(t, invoices, []Order{{ID: 1}, {ID: 2}}, price, tax)
//		...
//	}
//
// Run gives a test a Fleet: a broker inside the test, to which Executors and workers connect
// as processes of their own. A Process can be killed, stopped and continued, its replies can
// be lost, and the broker can restart empty:
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
// A test of Run is a bubble of testing/synctest: its clock moves when all goroutines of the test
// wait, and then at once to the next timer. So a lease of ten seconds runs out in no time, a
// function may sleep for an hour, and a test does not depend on how busy the machine is. The
// clock of the broker is the same one. What does not run in the bubble has no virtual time:
// sockets, files, processes, cgo, and goroutines that were started before. A goroutine
// that waits for one of these keeps the clock where it is. Functions that call a network
// service need a fake for it, for example a net.Pipe.
//
// # Faults
//
// A process of the test is a set of goroutines and connections. Kill cuts the connections, refuses
// new ones, and ends the contexts of the functions that run: the broker sees what it sees of
// kill -9. But no goroutine can be killed, so a function that ignores its context goes on, and
// its result reaches no queue. Stop holds up each request and reply, not the functions.
//
// The broker of the test is the one of executor.New with an empty address. It has no disk, no
// replicas and no memory limit: failovers, full disks and full memory need a real Redis.
//
// # Leaks
//
// When the test function returns, Run ends all processes and lets the leases of the dead run
// out. Then it is an error of the test if a key is left in the broker or a goroutine in the
// bubble. Named queues stay until they are deleted: delete them with executor.Delete.
package dqtest
