package jobs

import (
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
)

// Read makes a job of every per rows; the last one may have fewer. It ends with the first error of
// rows.
func Read(rows iter.Seq2[Row, error], per int) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		next := Job{Number: 1}
		for row, err := range rows {
			if err != nil {
				if len(next.Lines) > 0 && !yield(next, nil) {
					return
				}
				yield(Job{}, err)
				return
			}
			next.Args, next.Lines = append(next.Args, row.Values...), append(next.Lines, row.Line)
			if len(next.Lines) < per {
				continue
			}
			if !yield(next, nil) {
				return
			}
			next = Job{Number: next.Number + 1}
		}
		if len(next.Lines) > 0 {
			yield(next, nil)
		}
	}
}

// Keep keeps the order of jobs.
func Keep([]Job) {}

// Shuffle puts jobs into a random order.
func Shuffle(list []Job) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// ReadAll reads all jobs, orders them by arrange, and returns them with their number. The error of
// the input comes after them.
func ReadAll(all iter.Seq2[Job, error], arrange func([]Job)) (total int64, _ iter.Seq2[Job, error]) {
	var list []Job
	var failed error
	for job, err := range all {
		if err != nil {
			failed = err
			break
		}
		list = append(list, job)
	}
	arrange(list)
	return int64(len(list)), func(yield func(Job, error) bool) {
		for _, job := range list {
			if !yield(job, nil) {
				return
			}
		}
		if failed != nil {
			yield(Job{}, failed)
		}
	}
}

// Combine returns a row for each combination of one value of each list.
func Combine(lists [][]string) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if len(lists) > 0 {
			combine(nil, lists, yield)
		}
	}
}

// combine yields the rows that begin with values.
func combine(values []string, lists [][]string, yield func(Row, error) bool) bool {
	if len(lists) == 0 {
		return yield(Row{strings.Join(values, " "), slices.Clone(values)}, nil)
	}
	for _, value := range lists[0] {
		if !combine(append(values, value), lists[1:], yield) {
			return false
		}
	}
	return true
}
