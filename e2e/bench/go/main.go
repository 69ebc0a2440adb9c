// loadgen asks one server in a closed loop and compares every answer, byte for byte, with the one known to be right.
//
// It reads a task as JSON from standard input and prints its figures as JSON. A task names a folder of prepared calls:
// 0.request with 0.answer, 1.request with 1.answer and so on, whole HTTP/1.1 requests with the bodies of their answers,
// or gRPC messages. Every connection goes through the calls from a place of its own, so that neighbours differ.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Task is what to do; the bounds are seconds, or a number of calls where it is not 0.
type Task struct {
	Door           string  `json:"door"` // "http" or "grpc"
	Address        string  `json:"address"`
	Method         string  `json:"method"` // the gRPC method's path
	Folder         string  `json:"folder"`
	Connections    int     `json:"connections"`
	Streams        int     `json:"streams"` // calls in flight on one gRPC connection
	Seconds        float64 `json:"seconds"`
	WarmupSeconds  float64 `json:"warmup_seconds"`
	Calls          int64   `json:"calls"`
	TimeoutSeconds float64 `json:"timeout_seconds"` // of one call
}

// Call is a request and its right answer.
type Call struct{ request, answer []byte }

// Caller sends a request and returns the answer, which is valid until the next call.
type Caller interface {
	call(request []byte) ([]byte, error)
	close()
}

// Figures is what was seen after the warm-up; wrong answers of the warm-up count as errors, too.
type Figures struct {
	Requests   int64    `json:"requests"`
	Errors     int64    `json:"errors"`
	Samples    []string `json:"error_samples"`
	Rate       float64  `json:"requests_per_second"`
	P50        float64  `json:"p50_ms"`
	P99        float64  `json:"p99_ms"`
	CPUSeconds float64  `json:"client_cpu_seconds"`
	Seconds    float64  `json:"seconds"`
}

func main() {
	var task Task
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		fail(fmt.Errorf("the task on standard input: %w", err))
	}
	calls, err := readCalls(task.Folder)
	if err != nil {
		fail(err)
	}
	loops, err := openLoops(task, calls)
	if err != nil {
		fail(err)
	}
	begin, cpu := time.Now(), cpuSeconds()
	var group sync.WaitGroup
	for _, loop := range loops {
		group.Add(1)
		go func() {
			defer group.Done()
			loop.run(begin)
		}()
	}
	group.Wait()
	figures := summarize(loops)
	figures.Seconds, figures.CPUSeconds = time.Since(begin).Seconds(), cpuSeconds()-cpu
	if err := json.NewEncoder(os.Stdout).Encode(figures); err != nil {
		fail(err)
	}
}

func readCalls(folder string) ([]Call, error) {
	var calls []Call
	for {
		name := filepath.Join(folder, fmt.Sprint(len(calls)))
		request, err := os.ReadFile(name + ".request")
		if os.IsNotExist(err) && len(calls) > 0 {
			return calls, nil
		}
		if err != nil {
			return nil, err
		}
		answer, err := os.ReadFile(name + ".answer")
		if err != nil {
			return nil, err
		}
		calls = append(calls, Call{request, answer})
	}
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "loadgen:", err)
	os.Exit(1)
}
