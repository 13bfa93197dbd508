package app

import (
	"net"

	"golang.org/x/sys/unix"
)

// tcpSYN is the flag of a segment that opens a connection (RFC 9293 §3.1).
const tcpSYN = 0x02

// endArrivals makes the kernel drop segments that would open a connection. Connections that are being opened, or wait
// to be accepted, still come in. Closing the listener would reset those, and a proxy that has sent a POST into one must
// not repeat it. A client whose segment is dropped tries again a second later, finds the listener closed, and goes
// elsewhere.
func endArrivals(listener net.Listener) {
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // the listener is closed already
	}
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13}, // the flags of TCP
		{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, Jf: 1, K: tcpSYN},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0}, // drop
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff},
	}
	program := &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_ = raw.Control(func(fd uintptr) { // where this is not allowed the listener closes as on other systems
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, program)
	})
}
