package scale

import "testing"

func TestSlotIsThatOfACluster(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]uint16{"123456789": 0x31c3, "": 0} {
		if got := slot(tag); got != want%16384 {
			t.Errorf("the slot of %q is %d and not %d", tag, got, want%16384)
		}
	}
}

func TestSimulation(t *testing.T) {
	t.Parallel()
	u := Units{Redis: Unit{Batch: 60e-6}}
	alone := Fleet{Nodes: 1, Partitions: 1, Flows: 4, Workers: 2, Slots: 2, Speed: 1}
	near := func(name string, got, want float64) {
		if got < 0.95*want || got > 1.05*want {
			t.Errorf("%s: %.0f items a second and not %.0f", name, got, want)
		}
	}
	near("a node is the limit", u.Simulate(alone).PerSecond, mostItems/60e-6)
	slow := alone
	slow.Cost = 10e-3
	near("slots are the limit", u.Simulate(slow).PerSecond, 4/10e-3)
	half := alone
	half.Speed = 0.5
	near("a slow node", u.Simulate(half).PerSecond, mostItems/60e-6/2)
	u.Beat = 0.1
	near("heartbeats", u.Simulate(alone).PerSecond, mostItems/60e-6*0.8)
	wide := Fleet{Nodes: 2, Partitions: 64, Flows: 64, Workers: 2, Slots: 2, Speed: 1}
	u.Beat = 0
	near("two nodes", u.Simulate(wide).PerSecond, 2*mostItems/60e-6)
}
