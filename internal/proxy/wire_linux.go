package proxy

import "golang.org/x/sys/unix"

// peerLeft is the event of a peer that has closed its direction.
const peerLeft = unix.POLLRDHUP

// bytesAcked reads tcpi_bytes_acked of TCP_INFO (tcp(7), RFC 4898
// tcpEStatsAppHCThruOctetsAcked), which is also told of a connection that was
// reset. The SYN counts as one.
func bytesAcked(fd uintptr) (uint64, bool) {
	info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return info.Bytes_acked, true
}
