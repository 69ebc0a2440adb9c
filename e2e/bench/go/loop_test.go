package main

import (
	"testing"
	"time"
)

func TestPercentilesAreNearestRanks(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for number := range hundred {
		hundred[number] = time.Duration(number+1) * time.Millisecond
	}
	for _, row := range []struct {
		sorted []time.Duration
		share  float64
		want   float64
	}{
		{hundred, 0.50, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred[:1], 0.99, 1}, {nil, 0.5, 0},
	} {
		if got := percentile(row.sorted, row.share); got != row.want {
			t.Errorf("percentile(%d values, %v) = %v, want %v", len(row.sorted), row.share, got, row.want)
		}
	}
}

func TestALoopWithOneQuickAnswerIsNoRate(t *testing.T) {
	steady := &loop{latencies: make([]time.Duration, 10), counted: time.Second}
	lucky := &loop{latencies: make([]time.Duration, 1), counted: time.Millisecond}
	if rate := summarize([]*loop{steady, steady, lucky}).Rate; rate < 21 || rate > 40 {
		t.Errorf("21 calls in about a second are %.0f a second", rate)
	}
}
