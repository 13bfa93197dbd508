package storetest

import "syscall"

// memoryFolder gives the folder which Linux keeps in memory, or "" if it is missing or small, as it is in containers by
// default. A database is three hundred files: it is created ten times as fast there as on a busy disk.
func memoryFolder() string {
	const (
		folder  = "/dev/shm"
		tmpfs   = 0x01021994
		atLeast = 2 << 30 // The whole size, not what is free, so that all processes decide alike. A database takes 8 MB.
		write   = 2
	)
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil || stat.Type != tmpfs {
		return ""
	}
	if stat.Blocks*uint64(stat.Bsize) < atLeast || syscall.Access(folder, write) != nil {
		return ""
	}
	return folder
}

// dieWithParent makes a process that runs with the given account, nil for the caller's, end when the supervisor dies,
// even of SIGKILL. SIGQUIT ends PostgreSQL at once and in order: unlike SIGKILL it lets it free its shared memory.
func dieWithParent(account *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: account, Pdeathsig: syscall.SIGQUIT}
}
