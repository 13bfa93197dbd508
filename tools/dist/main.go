// Command dist builds what a release consists of: a static program for each system and architecture in an archive, what
// is in it as a CycloneDX SBOM, and the SHA-256 of all files. The same tree gives the same bytes, wherever it is built:
// -twice shows it.
//
//	go -C tools run ./dist -version 1.1.0 [-targets linux/amd64,windows/arm64] [-out ../dist]
//	go -C tools run ./dist -twice [-targets …]
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// all are the targets of a release.
const all = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64"

func main() {
	version := flag.String("version", "dev", "the version that the programs say")
	targets := flag.String("targets", all, "systems and architectures, separated by commas")
	out := flag.String("out", "../dist", "the folder for the files, which is emptied first")
	twice := flag.Bool("twice", false, "build twice, in other folders and with other caches, and compare the bytes")
	flag.Parse()
	err := errors.New("takes no arguments")
	if flag.NArg() == 0 {
		err = run(*version, strings.Split(*targets, ","), *out, *twice)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(version string, targets []string, out string, twice bool) error {
	root, err := filepath.Abs("..")
	if err != nil {
		return err
	}
	moment, err := releasedAt(root)
	if err != nil {
		return err
	}
	if twice {
		return sameTwice(root, version, targets, moment)
	}
	b := builder{root: root, version: version, moment: moment}
	if b.out, err = filepath.Abs(out); err != nil {
		return err
	}
	if err := b.build(targets); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(b.out, "SHA256SUMS"))
	fmt.Print(string(sums))
	return err
}

// releasedAt is the time of all files: SOURCE_DATE_EPOCH, or that of the commit.
func releasedAt(root string) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := output(root, nil, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, err
		}
		text = out
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// builder builds a tree.
type builder struct {
	root, out, version string
	cache              string // of the compiler; empty for the usual one
	moment             time.Time
}

// build makes all files of a release.
func (b *builder) build(targets []string) error {
	if err := errors.Join(os.RemoveAll(b.out), os.MkdirAll(b.out, 0o755)); err != nil {
		return err
	}
	// The compiler is that of go.mod, even if a newer one is installed.
	module, err := os.ReadFile(filepath.Join(b.root, "go.mod"))
	if err != nil {
		return err
	}
	_, toolchain, _ := strings.Cut(string(module), "\ntoolchain ")
	toolchain, _, found := strings.Cut(toolchain, "\n")
	if !found {
		return errors.New("go.mod has no line toolchain")
	}
	for _, target := range targets {
		if err := b.target(target, toolchain); err != nil {
			return fmt.Errorf("%s: %w", target, err)
		}
	}
	return b.sums()
}

// target builds the program for one system and architecture, and what goes with it.
func (b *builder) target(target, toolchain string) error {
	system, architecture, found := strings.Cut(target, "/")
	if !found || !slices.Contains(strings.Split(all, ","), target) {
		return fmt.Errorf("is none of %s", all)
	}
	name := fmt.Sprintf("conduit_%s_%s_%s", b.version, system, architecture)
	program := "conduit"
	if system == "windows" {
		program += ".exe"
	}
	folder, err := os.MkdirTemp("", "conduit-dist-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	built := filepath.Join(folder, program)
	environment := []string{
		"CGO_ENABLED=0", "GOOS=" + system, "GOARCH=" + architecture, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=",
		"GOEXPERIMENT=", "GOWORK=off", "GOTOOLCHAIN=" + toolchain,
	}
	if b.cache != "" {
		environment = append(environment, "GOCACHE="+b.cache)
	}
	// Without a build id, which differs where the compiler was found elsewhere.
	flags := "-s -w -buildid= -X main.version=" + b.version
	if _, err := output(b.root, environment, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags,
		"-o", built, "./cmd/conduit"); err != nil {
		return err
	}
	// The SBOM is read from the program: it has what was linked, and nothing else.
	bill := filepath.Join(b.out, name+".cdx.json")
	tools := filepath.Join(b.root, "tools")
	if _, err := output(tools, nil, "go", "tool", "cyclonedx-gomod", "bin", "-json", "-std", "-noserial",
		"-notimestamp", "-version", "v"+b.version, "-output", bill, built); err != nil {
		return err
	}
	if err := withoutTool(bill); err != nil {
		return err
	}
	files := []file{{name: program, from: built, mode: 0o755}}
	for _, beside := range []string{"LICENSE", "README.md"} {
		files = append(files, file{name: beside, from: filepath.Join(b.root, beside), mode: 0o644})
	}
	if system == "windows" {
		return zipped(filepath.Join(b.out, name+".zip"), name, files, b.moment)
	}
	return tarred(filepath.Join(b.out, name+".tar.gz"), name, files, b.moment)
}

// withoutTool takes the hashes of the tool out of an SBOM: they are of a program that is built on the spot, and depend
// on the machine. Its name and version stay.
func withoutTool(bill string) error {
	text, err := os.ReadFile(bill)
	if err != nil {
		return err
	}
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		return err
	}
	metadata, _ := document["metadata"].(map[string]any)
	tools, _ := metadata["tools"].([]any)
	if len(tools) != 1 {
		return fmt.Errorf("%s names %d tools, want one", filepath.Base(bill), len(tools))
	}
	tool, _ := tools[0].(map[string]any)
	delete(tool, "hashes")
	if text, err = json.MarshalIndent(document, "", "  "); err != nil {
		return err
	}
	return os.WriteFile(bill, append(text, '\n'), 0o644)
}

// sums writes SHA256SUMS, as sha256sum --check reads it.
func (b *builder) sums() error {
	entries, err := os.ReadDir(b.out)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, entry := range entries { // by name
		content, err := os.ReadFile(filepath.Join(b.out, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), entry.Name())
	}
	return os.WriteFile(filepath.Join(b.out, "SHA256SUMS"), sums.Bytes(), 0o644)
}

// sameTwice builds two copies of the tree, in folders of other names, the second with an empty cache. So nothing is
// shared but the compiler and the modules.
func sameTwice(root, version string, targets []string, moment time.Time) error {
	folder, err := os.MkdirTemp("", "conduit-twice-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	var outs []string
	for _, place := range []struct{ name, cache string }{
		{name: "a"}, {name: "another/place", cache: filepath.Join(folder, "cache")},
	} {
		b := builder{
			root: filepath.Join(folder, place.name), out: filepath.Join(folder, "out", filepath.Base(place.name)),
			version: version, cache: place.cache, moment: moment,
		}
		if err := copied(root, b.root); err != nil {
			return err
		}
		if err := b.build(targets); err != nil {
			return err
		}
		outs = append(outs, b.out)
	}
	first, err := os.ReadFile(filepath.Join(outs[0], "SHA256SUMS"))
	second, other := os.ReadFile(filepath.Join(outs[1], "SHA256SUMS"))
	if err := cmp.Or(err, other); err != nil {
		return err
	}
	if !bytes.Equal(first, second) {
		return fmt.Errorf("the bytes differ:\n%s\n%s", first, second)
	}
	fmt.Printf("Twice the same bytes:\n%s", first)
	return nil
}

// copied copies what is in the repository, as it is in the working tree.
func copied(from, to string) error {
	names, err := output(from, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(names, "\x00"), "\x00") {
		source, target := filepath.Join(from, name), filepath.Join(to, name)
		info, err := os.Lstat(source)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", name)
		}
		content, err := os.ReadFile(source)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(target), 0o755)); err != nil {
			return err
		}
		if err := os.WriteFile(target, content, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// output runs a command, and returns what it prints.
func output(folder string, environment []string, name string, args ...string) (string, error) {
	command := exec.CommandContext(context.Background(), name, args...)
	command.Dir, command.Env = folder, append(os.Environ(), environment...)
	var complaints bytes.Buffer
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &complaints)
	}
	return string(out), nil
}
