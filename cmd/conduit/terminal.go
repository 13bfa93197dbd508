package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// keyboard is where answers come from: a person at a terminal, or a pipe.
type keyboard struct {
	in       io.Reader
	prompts  io.Writer
	terminal *os.File // in, if it is a terminal
}

func newKeyboard(in io.Reader, prompts io.Writer) keyboard {
	k := keyboard{in: in, prompts: prompts}
	if file, ok := in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		k.terminal = file
	}
	return k
}

// maxLine is more than any answer has, in bytes.
const maxLine = 4096

// password asks twice without echo, or takes the first line of a pipe.
func (k keyboard) password(ctx context.Context) (string, error) {
	if k.terminal == nil {
		return k.line(ctx)
	}
	first, err := k.unseen(ctx, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := k.unseen(ctx, "Once more: ")
	if err == nil && first != second {
		err = errors.New("these were two different passwords")
	}
	return first, err
}

func (k keyboard) unseen(ctx context.Context, prompt string) (string, error) {
	fd := int(k.terminal.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	defer func() { _ = term.Restore(fd, before) }() // also when a signal comes first
	_, _ = fmt.Fprint(k.prompts, prompt)
	defer func() { _, _ = fmt.Fprintln(k.prompts) }() // the end of the line had no echo either
	return await(ctx, func() (string, error) {
		text, err := term.ReadPassword(fd)
		return string(text), err
	})
}

// confirmed has a person at a terminal type the word, which has a name, before something is lost. Without a terminal it
// is refused, in one line that says what would be lost.
func confirmed(cmd *cobra.Command, loses, wordName, word string) error {
	keys := newKeyboard(cmd.InOrStdin(), cmd.ErrOrStderr())
	if keys.terminal == nil {
		return usagef("%s asks first, and there is no terminal to ask at: say --yes. %s", cmd.CommandPath(), loses)
	}
	return keys.confirm(cmd.Context(), fmt.Sprintf("%s Type %s: ", loses, wordName), word)
}

// confirm has a person type the word.
func (k keyboard) confirm(ctx context.Context, prompt, word string) error {
	_, _ = fmt.Fprint(k.prompts, prompt)
	answer, err := k.line(ctx)
	if err == nil && answer != word {
		err = errors.New("that is another word: nothing is done")
	}
	return err
}

func (k keyboard) line(ctx context.Context) (string, error) {
	return await(ctx, func() (string, error) {
		text, err := bufio.NewReader(io.LimitReader(k.in, maxLine)).ReadString('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) == maxLine:
			return "", errors.New("the line is too long")
		case errors.Is(err, io.EOF):
			err = nil
		}
		return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), err
	})
}

// await does not wait for an answer when the program is told to end. Reading cannot be stopped; it ends with the
// process.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := read()
		answers <- answer{text, err}
	}()
	select {
	case got := <-answers:
		return got.text, got.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
