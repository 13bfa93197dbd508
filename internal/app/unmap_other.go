//go:build !linux

package app

// unmapProgram does nothing where it is not known how.
func unmapProgram() {}
