package target

import "strconv"

// eachLine compares a process for each of 3,000 lines with xargs or parallel, with the same number
// of slots.
func eachLine(name string, slots int) rival {
	n := strconv.Itoa(slots)
	other := []string{"xargs", "-P", n, "-n1", "sh", "-c", "cat"}
	if name == "parallel" {
		other = []string{"parallel", "-k", "-j" + n, "echo {} | cat"}
	}
	return rival{lines: 3000, spec: "exec:cat", other: other, flags: []string{"-j", n}}
}

func execTargets() (all []Target) {
	for _, slots := range []int{1, 4, 64} {
		n := strconv.Itoa(slots)
		all = append(all,
			Target{Name: "exec-" + n, What: "3,000 lines of exec:cat in " + n + " slots, against xargs with sh -c", Want: 1.11, Most: true, Unit: "x",
				measure: eachLine("xargs", slots).quiet},
			Target{Name: "exec-parallel-" + n, What: "the same, against parallel -k", Want: 0.25, Most: true, Unit: "x",
				measure: eachLine("parallel", slots).quiet})
	}
	return all
}
