package app

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// It is not parallel, since other tests would bring pages back.
func TestUnmapProgram(t *testing.T) {
	before := fileMemory(t)
	unmapProgram()
	if after := fileMemory(t); after > before/2 {
		t.Errorf("%d kB of files before, %d kB after: see unwritten in internal/app/unmap_linux.go", before, after)
	}
}

// fileMemory returns how much of its files the process has in memory, in kB.
func fileMemory(t *testing.T) (kB int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "RssFile: %d kB", &kB); n == 1 {
			return kB
		}
	}
	t.Fatal("no RssFile")
	return 0
}
