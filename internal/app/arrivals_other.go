//go:build !linux

package app

import "net"

// endArrivals does nothing: only Linux can do what it is for.
func endArrivals(net.Listener) {}
