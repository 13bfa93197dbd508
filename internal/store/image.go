package store

import (
	"context"
	"errors"
	"fmt"
)

// Image is the content of a SQLite database in memory. Any number of databases can be opened as copies of it.
type Image []byte

// liteCopier is what the driver's connections can do beside what database/sql knows.
type liteCopier interface {
	Serialize() ([]byte, error)
	Deserialize(content []byte) error
}

// ErrNoImage is returned for a database that is not in memory.
var ErrNoImage = errors.New("only a SQLite database in memory has an image")

// Image returns what the database holds now.
func (s *Store) Image(ctx context.Context) (image Image, err error) {
	err = s.copier(ctx, func(copier liteCopier) error {
		image, err = copier.Serialize()
		return err
	})
	return image, err
}

// OpenImage opens a database in memory of its own that holds what the image does. It grows to so many bytes at most.
// Then whatever would make it larger is Unavailable.
func OpenImage(ctx context.Context, image Image, most int64, options Options) (*Store, error) {
	s, err := Open("sqlite::memory:", options)
	if err != nil {
		return nil, err
	}
	if err := s.copier(ctx, func(copier liteCopier) error { return copier.Deserialize(image) }); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if _, err := s.writes.ExecContext(ctx, fmt.Sprintf("pragma max_page_count = %d; pragma cache_size = %d",
		most/imagePage, imageCache)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

const (
	imagePage  = 4096 // bytes of a page of SQLite
	imageCache = 16   // pages: all of them are in memory anyway
)

func (s *Store) copier(ctx context.Context, use func(liteCopier) error) error {
	if s.dialect.postgres || s.path != "" {
		return ErrNoImage
	}
	conn, err := s.writes.DB.Conn(ctx)
	if err != nil {
		return explain(ctx, err)
	}
	defer func() { _ = conn.Close() }() // goes back to the pool
	return conn.Raw(func(raw any) error {
		copier, ok := raw.(*liteConn).liteDriver.(liteCopier)
		if !ok {
			return ErrNoImage
		}
		return use(copier)
	})
}
