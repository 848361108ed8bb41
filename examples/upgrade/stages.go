package main

import (
	"context"

	"github.com/dqbridge/dqbridge/executor"
)

// describe is the stage of releases 1 and 2.
func describe(ctx context.Context, mountains *executor.Queue[Mountain]) (*executor.Queue[string], error) {
	return executor.Map(ctx, describe2, mountains, executor.Name("described"))
}

// surveyAndDescribe is the chain of release 3. It takes the backlog of the stage that it replaces.
func surveyAndDescribe(ctx context.Context, mountains *executor.Queue[Mountain]) (*executor.Queue[string], error) {
	surveyed, err := executor.Map(ctx, survey, mountains, executor.Name("surveyed"), executor.ReplaceStage())
	if err != nil {
		return nil, err
	}
	return executor.Map(ctx, describeSurveyed, surveyed, executor.Name("described.surveyed"))
}
