package app

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// unmapProgram takes the pages of the program's own file out of the process. The start runs through much code that is
// never used again: a good half of the memory that the system then counts as the process's. What is still needed comes
// back from the page cache, at the price of some hundred page faults.
func unmapProgram() {
	for _, m := range unwritten() {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.begin, m.end-m.begin, unix.MADV_DONTNEED) // or the pages stay
	}
}

type mapping struct{ begin, end uintptr }

// unwritten returns the read-only mappings of the program's file to which nothing was written. A page with relocations
// or a debugger's breakpoints is a private copy, and would be lost.
func unwritten() (found []mapping) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	report, err := os.ReadFile("/proc/self/smaps") // proc_pid_smaps(5)
	if err != nil {
		return nil
	}
	var m mapping
	ours := false // whether the lines are about one of ours
	for line := range strings.Lines(string(report)) {
		var begin, end uintptr
		var permissions string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &permissions); n == 3 {
			m = mapping{begin, end}
			ours = strings.HasSuffix(line, " "+program+"\n") && !strings.Contains(permissions, "w")
		} else if ours && strings.HasPrefix(line, "Anonymous:") && strings.HasSuffix(line, " 0 kB\n") {
			found = append(found, m)
		}
	}
	return found
}
