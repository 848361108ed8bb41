package main

import (
	"context"
	"fmt"

	"github.com/dqbridge/dqbridge/workers"
)

// A Mountain is the item of releases 1 and 2.
type Mountain struct {
	Name   string `json:"name"`
	Metres int    `json:"metres"`
}

// A SurveyedMountain is the item of release 3. It is a type of its own, with a name of its own.
type SurveyedMountain struct {
	Mountain
	Feet int `json:"feet"`
}

// describe1 is the function of release 1.
var describe1 = workers.Define("describe", func(_ context.Context, m Mountain) (string, error) {
	return fmt.Sprintf("%s: %d m", m.Name, m.Metres), nil
}, workers.Version("1"))

// describe2 is the same function in release 2: the name and the types stay, the behavior is another one.
var describe2 = workers.Define("describe", func(_ context.Context, m Mountain) (string, error) {
	return fmt.Sprintf("%s (%d m)", m.Name, m.Metres), nil
}, workers.Version("2"))

// survey is a new stage in release 3, and describeSurveyed replaces describe behind it.
var (
	survey = workers.Define("survey", func(_ context.Context, m Mountain) (SurveyedMountain, error) {
		return SurveyedMountain{m, m.Metres * 10000 / 3048}, nil
	})
	describeSurveyed = workers.Define("describe.surveyed", func(_ context.Context, m SurveyedMountain) (string, error) {
		return fmt.Sprintf("%s (%d m, %d ft)", m.Name, m.Metres, m.Feet), nil
	})
)

// releases are the functions of the workers of each release. Release 3 still has describe, for the backlog of release 2.
var releases = map[string][]workers.Function{
	"1": {describe1},
	"2": {describe2},
	"3": {describe2, survey, describeSurveyed},
}
