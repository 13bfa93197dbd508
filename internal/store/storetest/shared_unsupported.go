//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package storetest

import "errors"

// sharedServer fails: the private server needs flock and unix sockets.
func sharedServer() (dsn string, err error) {
	return "", errors.New("set " + serverVariable + " to the DSN of a server whose user may create databases: " +
		"on this system no private one can be started")
}
