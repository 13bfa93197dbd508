//go:build !unix

package app

// fileLimit returns how many file descriptors the process may have: enough, where the system does not say.
func fileLimit() int { return 2 * mostConnections }
