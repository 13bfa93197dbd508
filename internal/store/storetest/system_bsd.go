//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package storetest

import "syscall"

// memoryFolder gives "": these systems have no folder that is in memory without further ado.
func memoryFolder() string { return "" }

// dieWithParent sets the account only: not all of these systems can tell a process of its parent's death. A server
// whose supervisor was killed lives until the next test run removes its folder.
func dieWithParent(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account}
}
