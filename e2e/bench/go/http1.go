package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// httpCaller speaks as much HTTP/1.1 as answers to POST need: a length or chunks, and connections that stay open.
type httpCaller struct {
	connection net.Conn
	reader     *bufio.Reader
	body       []byte
	timeout    time.Duration
}

func openHTTP(address string, timeout time.Duration) (Caller, error) {
	connection, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	return &httpCaller{connection, bufio.NewReaderSize(connection, 64<<10), nil, timeout}, nil
}

func (h *httpCaller) close() { h.connection.Close() }

func (h *httpCaller) call(request []byte) ([]byte, error) {
	if err := h.connection.SetDeadline(time.Now().Add(h.timeout)); err != nil {
		return nil, err
	}
	if _, err := h.connection.Write(request); err != nil {
		return nil, err
	}
	status, length, err := h.head()
	if err != nil {
		return nil, err
	}
	h.body = h.body[:0]
	if length >= 0 {
		err = h.take(length)
	} else {
		err = h.chunks()
	}
	if err != nil {
		return nil, err
	}
	if status != 200 {
		return nil, fmt.Errorf("status %d: %.*q", status, sampleBytes, h.body)
	}
	return h.body, nil
}

// head reads the status and the headers; the length is -1 where the body comes in chunks.
func (h *httpCaller) head() (status, length int, err error) {
	line, err := h.line()
	if err != nil {
		return 0, 0, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return 0, 0, fmt.Errorf("no HTTP/1.1 answer: %.*q", sampleBytes, line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, err
	}
	chunked := false
	for {
		if line, err = h.line(); err != nil {
			return 0, 0, err
		}
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, 0, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
	if chunked {
		length = -1
	}
	return status, length, nil
}

func (h *httpCaller) chunks() error {
	for {
		line, err := h.line()
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(string(line), 16, 32)
		if err != nil {
			return fmt.Errorf("a chunk's size: %w", err)
		}
		if err := h.take(int(size)); err != nil {
			return err
		}
		if line, err = h.line(); err != nil {
			return err
		}
		if len(line) != 0 {
			return errors.New("a chunk that does not end where it says")
		}
		if size == 0 {
			return nil
		}
	}
}

// take appends so many bytes to the body.
func (h *httpCaller) take(count int) error {
	begin := len(h.body)
	if need := begin + count; cap(h.body) < need {
		grown := make([]byte, begin, need)
		copy(grown, h.body)
		h.body = grown
	}
	h.body = h.body[:begin+count]
	_, err := io.ReadFull(h.reader, h.body[begin:])
	return err
}

func (h *httpCaller) line() ([]byte, error) {
	line, err := h.reader.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}
