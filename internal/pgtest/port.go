package pgtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports below the ranges from which Linux (32768) and macOS (49152) number
// outgoing connections. In those ranges, a client that redials a stopped
// server on the same machine can be given the server's own port, and then
// talks to itself and keeps the server from starting.
const lowPort, highPort = 15000, 32000

// freePort returns a port of 127.0.0.1 that was free a moment ago.
func freePort() (int, error) {
	var last error
	for range 100 {
		port := lowPort + rand.IntN(highPort-lowPort)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			last = err
			continue
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		return port, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d: %w", lowPort, highPort, last)
}
