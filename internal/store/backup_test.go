package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"conduit/internal/store"
	"conduit/internal/store/storetest"
)

// TestBackupLeavesNothingWhenItIsStopped: neither the copy nor a part of it.
func TestBackupLeavesNothingWhenItIsStopped(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, storetest.SQLite(t), store.Options{})
	folder := t.TempDir()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := db.Backup(stopped, filepath.Join(folder, "copy")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was stopped", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v was left behind, %v", left, err)
	}
}
