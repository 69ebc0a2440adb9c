package main

import (
	"bytes"
	"fmt"
	"sort"
	"sync/atomic"
	"time"
)

const (
	mostSamples = 3
	sampleBytes = 300
)

// loop asks again and again over one connection (or one stream of it) and keeps what it saw.
type loop struct {
	open      func() (Caller, error)
	calls     []Call
	next      int
	left      *atomic.Int64 // calls that may still begin; nil where time is the bound
	warmup    time.Duration
	length    time.Duration
	latencies []time.Duration
	counted   time.Duration // from the first counted call's begin to the last one's end
	errors    int64
	samples   []string
}

func openLoops(task Task, calls []Call) ([]*loop, error) {
	var left *atomic.Int64
	if task.Calls > 0 {
		left = &atomic.Int64{}
		left.Store(task.Calls)
	}
	opens, err := openers(task)
	if err != nil {
		return nil, err
	}
	loops := make([]*loop, len(opens))
	for number, open := range opens {
		loops[number] = &loop{
			open: open, calls: calls, next: number, left: left,
			warmup: seconds(task.WarmupSeconds), length: seconds(task.WarmupSeconds + task.Seconds),
		}
	}
	return loops, nil
}

func openers(task Task) ([]func() (Caller, error), error) {
	timeout := seconds(task.TimeoutSeconds)
	var opens []func() (Caller, error)
	for range task.Connections {
		switch task.Door {
		case "http":
			opens = append(opens, func() (Caller, error) { return openHTTP(task.Address, timeout) })
		case "grpc":
			connection, err := dialGRPC(task.Address)
			if err != nil {
				return nil, err
			}
			for range max(task.Streams, 1) {
				opens = append(opens, func() (Caller, error) { return &grpcCaller{connection, task.Method, timeout, nil}, nil })
			}
		default:
			return nil, fmt.Errorf("door %q: it must be http or grpc", task.Door)
		}
	}
	return opens, nil
}

func seconds(value float64) time.Duration { return time.Duration(value * float64(time.Second)) }

// mayBegin says whether there is another call to do: one that counts at least, however slow the server is.
func (l *loop) mayBegin(now time.Duration) bool {
	if l.left != nil {
		return l.left.Add(-1) >= 0
	}
	return now < l.length || len(l.latencies) == 0 && l.errors == 0
}

func (l *loop) run(begin time.Time) {
	var caller Caller
	first := time.Duration(-1)
	for sent := time.Since(begin); l.mayBegin(sent); sent = time.Since(begin) {
		call := l.calls[l.next%len(l.calls)]
		l.next++
		var err error
		if caller == nil {
			if caller, err = l.open(); err != nil {
				l.wrong(err)
				time.Sleep(10 * time.Millisecond) // a server that refuses connections must not be asked in a tight loop
				continue
			}
			sent = time.Since(begin)
		}
		answer, err := caller.call(call.request)
		done := time.Since(begin)
		switch {
		case err != nil:
			l.wrong(err)
			caller.close()
			caller = nil
		case !bytes.Equal(answer, call.answer):
			l.wrong(fmt.Errorf("wrong answer: %.*q instead of %.*q", sampleBytes, answer, sampleBytes, call.answer))
		case sent >= l.warmup:
			if first < 0 {
				first = sent
			}
			l.latencies = append(l.latencies, done-sent)
			l.counted = done - first
		}
	}
	if caller != nil {
		caller.close()
	}
}

func (l *loop) wrong(err error) {
	l.errors++
	if len(l.samples) < mostSamples {
		l.samples = append(l.samples, err.Error())
	}
}

// summarize takes the calls of all loops over the time that a loop took on average: a slow server's last calls end long
// after the time is up. The loops' own rates must not be added up, for one that got a single quick answer would count as
// thousands a second.
func summarize(loops []*loop) Figures {
	figures := Figures{Samples: []string{}}
	var latencies []time.Duration
	var counting int
	var counted time.Duration
	for _, l := range loops {
		figures.Requests += int64(len(l.latencies))
		figures.Errors += l.errors
		if l.counted > 0 {
			counting++
			counted += l.counted
		}
		latencies = append(latencies, l.latencies...)
		if len(figures.Samples) < mostSamples {
			figures.Samples = append(figures.Samples, l.samples...)
		}
	}
	if counting > 0 {
		figures.Rate = float64(len(latencies)) * float64(counting) / counted.Seconds()
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	figures.P50, figures.P99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
	return figures
}

// percentile returns milliseconds by the nearest rank, of sorted latencies.
func percentile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(share*float64(len(sorted))+0.9999999) - 1
	return float64(sorted[min(max(rank, 0), len(sorted)-1)]) / float64(time.Millisecond)
}
