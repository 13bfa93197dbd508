//go:build !unix

package app

// fileLimit is how many file descriptors the process may have, where nothing says so.
func fileLimit() int { return 2 * mostConnections }
