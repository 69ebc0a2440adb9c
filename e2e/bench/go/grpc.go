package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

const largestMessage = 64 << 20

// messages are sent and handed over as the bytes they are.
type messages struct{}

func (messages) Name() string { return "proto" }

func (messages) Marshal(value any) ([]byte, error) { return *value.(*[]byte), nil }

func (messages) Unmarshal(data []byte, value any) error {
	*value.(*[]byte) = data
	return nil
}

// grpcCaller is one stream of calls on a connection that may carry more of them.
type grpcCaller struct {
	connection *grpc.ClientConn
	method     string
	timeout    time.Duration
	answer     []byte
}

func dialGRPC(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(
		"passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(1<<20),
		grpc.WithInitialConnWindowSize(4<<20),
		grpc.WithDefaultCallOptions(
			grpc.ForceCodec(messages{}),
			grpc.MaxCallRecvMsgSize(largestMessage),
			grpc.MaxCallSendMsgSize(largestMessage),
		),
	)
}

func (g *grpcCaller) close() {}

func (g *grpcCaller) call(request []byte) ([]byte, error) {
	limit, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	if err := g.connection.Invoke(limit, g.method, &request, &g.answer); err != nil {
		return nil, fmt.Errorf("gRPC: %w", err)
	}
	return g.answer, nil
}
