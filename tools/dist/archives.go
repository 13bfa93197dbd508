package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path"
	"time"
)

// file is one of an archive.
type file struct {
	name, from string
	mode       os.FileMode
}

// tarred writes an archive whose files are in a folder. Nothing in it is of the machine: no owner, no time but one.
func tarred(to, folder string, files []file, moment time.Time) error {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(compressed)
	for _, file := range files {
		content, err := os.ReadFile(file.from)
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{
			Format: tar.FormatUSTAR, Name: path.Join(folder, file.name), Size: int64(len(content)),
			Mode: int64(file.mode), ModTime: moment,
		}); err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	if err := compressed.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

// zipped does the same for Windows.
func zipped(to, folder string, files []file, moment time.Time) error {
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, file := range files {
		content, err := os.ReadFile(file.from)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: path.Join(folder, file.name), Method: zip.Deflate, Modified: moment}
		header.SetMode(file.mode)
		entry, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := entry.Write(content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}
