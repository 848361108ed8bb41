package integration

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dqbridge/dqbridge/bridge"
	"github.com/dqbridge/dqbridge/executor"
	"github.com/dqbridge/dqbridge/internal/testkit"
	"github.com/dqbridge/dqbridge/workers"
)

// examined returns the output of one check of the doctor.
func examined(t *testing.T, url, id string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "dqbridge", "doctor", "--only", id)
	cmd.Env = append(os.Environ(), "DQBRIDGE_REDIS="+url)
	out, _ := cmd.CombinedOutput() // the exit status says whether a check failed
	return string(out)
}

// Each fault is planted into a namespace in which all is well. Its check finds it then, and not before.
func TestDoctorFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	reject := workers.Define("reject", func(context.Context, int) (int, error) { return 0, errors.New("rejected") })
	defer employ(t, address("worker"), workers.Functions(reject))()
	operator := connected(t, address("operator"))
	id := admin.ZRange(t.Context(), "{dq:0}:workers", 0, 0).Val()[0]
	card := "{dq:0}:w:" + id
	for _, fault := range []struct {
		id, text string
		plant    func()
	}{
		{"D14", "warn    D14 delayed     delayed items should have been back in their queue for ", func() {
			admin.ZAdd(t.Context(), "{dq:0}:due", redis.Z{Score: float64(time.Now().Add(-time.Minute).UnixMilli()), Member: "q 1-1"})
		}},
		{"D16", "warn    D16 leases      the leases differ: 10s (", func() { connected(t, address("operator"), executor.Lease(20*time.Second)) }},
		{"D17", "warn    D17 versions    the workers have different versions of dqbridge: ", func() {
			admin.HSet(t.Context(), "{dq:0}:w:another", "host", "h", "pid", 7, "version", "v0.0.1")
			admin.ZAdd(t.Context(), "{dq:0}:workers", redis.Z{Score: float64(time.Now().UnixMilli()), Member: "another"})
		}},
		{"D20", "does not read its hints: its mailbox is full", func() {
			for range 1000 { // of another worker: this one would read them
				admin.XAdd(t.Context(), &redis.XAddArgs{Stream: "{dq:0}:p:another", Values: []any{"m", "room"}})
			}
		}},
		{"D23", "the work of 1 worker is missing in the numbers of stages", func() {
			if err := admin.Do(t.Context(), "ACL", "SETUSER", "dq-worker", "clearselectors", "~*", "+@all", "-hlen").Err(); err != nil {
				t.Fatal(err)
			}
			failOne(t, operator)
			testkit.Eventually(t, func() bool { return admin.HGet(t.Context(), card, "muted").Val() != "" }, "the report was refused")
		}},
	} {
		if out := examined(t, address("observer"), fault.id); !strings.HasPrefix(out, "ok ") {
			t.Errorf("before the fault: %s", out)
		}
		fault.plant()
		testkit.Eventually(t, func() bool { return strings.Contains(examined(t, address("observer"), fault.id), fault.text) }, fault.id+": "+fault.text)
	}
	if out := examined(t, address("observer"), "D6"); !strings.Contains(out, "skipped D6  rights      the Redis user may not call ACL DRYRUN -> ") {
		t.Errorf("of an observer: %s", out)
	}
	if out := examined(t, address("observer"), "D18"); !strings.HasPrefix(out, "ok ") {
		t.Errorf("with one clock: %s", out)
	}
}

// A payload key without a lifetime that no entry names is found by a user who may look for it.
func TestDoctorFindsPayloadKeysThatStay(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	if out := examined(t, address("observer"), "D19"); out != "skipped D19 payloads    the Redis user may not call SCAN or PTTL -> ACL SETUSER USER +scan +pttl\n" {
		t.Errorf("of an observer: %s", out)
	}
	if out := examined(t, address("operator"), "D19"); !strings.HasPrefix(out, "ok ") {
		t.Errorf("before the fault: %s", out)
	}
	admin.Set(t.Context(), "{dq:0}:f:lost.5000", strings.Repeat("x", 5000), 0)
	want := "warn    D19 payloads    1 of 1 payload keys have no lifetime, and no entry needs them: {dq:0}:f:lost.5000 -> redis-cli EXPIRE '{dq:0}:f:lost.5000' 600, "
	if out := examined(t, address("operator"), "D19"); !strings.HasPrefix(out, want) {
		t.Errorf("after the fault: %s", out)
	}
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "dq-observer", "+scan", "+pttl").Err(); err != nil {
		t.Fatal(err)
	}
	if out := examined(t, address("observer"), "D19"); !strings.HasPrefix(out, want) {
		t.Errorf("of an observer with the rights: %s", out)
	}
}

// The users of docs/security.md have all rights that the doctor expects, and it names those that are
// taken away.
func TestDoctorFindsMissingRights(t *testing.T) {
	t.Parallel()
	address, admin := secured(t)
	url := strings.Replace(address("observer"), "dq-observer", "admin", 1)
	if out := examined(t, url, "D6"); !strings.HasPrefix(out, "ok ") {
		t.Errorf("of the documented users: %s", out)
	}
	err := errors.Join(admin.Do(t.Context(), "ACL", "SETUSER", "dq-operator", "-xclaim").Err(), admin.Do(t.Context(), "ACL", "DELUSER", "dq-worker").Err())
	if err != nil {
		t.Fatal(err)
	}
	out := examined(t, url, "D6")
	if !strings.Contains(out, "the Redis user dq-operator lacks ") || !strings.Contains(out, "xclaim {dq:0}:") || strings.Contains(out, "dq-worker") {
		t.Errorf("after the faults: %s", out)
	}
}

// The rules that the doctor expects are those of docs/security.md.
func TestDoctorKnowsDocumentedRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/security.md")
	own, failed := os.ReadFile(root + "/internal/broker/rights.acl")
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	if rules := regexp.MustCompile(`(?m)^ACL SETUSER dq-.+\n`).FindAllString(string(text), -1); strings.Join(rules, "") != string(own) {
		t.Error("docs/security.md and internal/broker/rights.acl differ: copy the lines of the page")
	}
}

// failOne sends one item that fails: its report needs HLEN.
func failOne(t *testing.T, ex *executor.Executor) {
	t.Helper()
	in, err := bridge.ScatterSeq(t.Context(), ex, func(yield func(int) bool) { yield(1) }, bridge.Name("numbers"), bridge.Seal())
	if err != nil {
		t.Fatal(err)
	}
	out, err := executor.Map(t.Context(), workers.Remote[int, int]("reject"), in)
	if err != nil {
		t.Fatal(err)
	}
	for range bridge.All(t.Context(), out) {
		continue
	}
}
