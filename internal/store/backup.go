package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrNoBackup is returned for a database that is no SQLite file.
var ErrNoBackup = errors.New("only a SQLite file is backed up by Conduit; PostgreSQL has pg_dump, see docs/backup.md")

// Backup writes a copy of a SQLite database to a new file, which its owner alone may read. It returns the size of the
// copy in bytes. Others may read and write meanwhile: the copy holds what was committed before it began. The file
// appears whole or not at all. The error is [ErrNoBackup] for another database, and [os.ErrExist] if there is a file of
// that name already.
func (s *Store) Backup(ctx context.Context, file string) (size int64, err error) {
	if s.path == "" {
		return 0, ErrNoBackup
	}
	// SQLite takes a name that begins with file: for a URL.
	file, err = filepath.Abs(file)
	if err != nil {
		return 0, err
	}
	// The link below refuses an existing file too. It is looked for here as well, since the copy may take long.
	if _, err := os.Lstat(file); err == nil {
		return 0, fmt.Errorf("%s: %w", file, os.ErrExist)
	}
	// SQLite would let everybody read a file that it makes. It takes an empty one as it is.
	temp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.tmp")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // after the link it is one of two names
	if _, err := s.writes.ExecContext(ctx, "vacuum into ?", temp.Name()); err != nil {
		return 0, errors.Join(explain(ctx, err), temp.Close())
	}
	info, err := temp.Stat()
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return 0, err
	}
	// Unlike a rename, a link replaces nothing.
	if err := os.Link(temp.Name(), file); err != nil {
		return 0, err
	}
	return info.Size(), nil
}
