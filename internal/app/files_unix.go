//go:build unix

package app

import "syscall"

// fileLimit returns how many file descriptors the process may have. Go has raised that to what the system allows.
func fileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 2 * mostConnections
	}
	return int(min(uint64(limit.Cur), 1<<30)) //nolint:unconvert // signed on some systems
}
