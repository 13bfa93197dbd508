// Package weak knows the passwords that everybody tries first. It decides nothing: the domain rules whether people may
// have them.
package weak

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/ccojocar/zxcvbn-go/data"
)

// Passwords is a list of common passwords. It is safe for concurrent use.
type Passwords struct {
	listed  map[string]bool
	longest int
}

// New reads the list that zxcvbn contains: seven thousand passwords from leaks.
func New() (*Passwords, error) {
	text, err := data.Asset("data/Passwords.json")
	if err != nil {
		return nil, fmt.Errorf("the list of common passwords: %w", err)
	}
	var file struct{ List []string }
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("the list of common passwords: %w", err)
	}
	p := &Passwords{listed: make(map[string]bool, len(file.List))}
	for _, password := range file.List {
		p.listed[password] = true
		p.longest = max(p.longest, len(password))
	}
	return p, nil
}

// What guessing a piece costs, and up to which sum a password is common. Hardly any long password is on a list itself.
// The common ones are a word from it, once or repeated, with something like 123456 after it.
const (
	pieceCost  = 2
	symbolCost = 1 // one character that is neither letter nor digit
	budget     = 2*pieceCost + symbolCost
)

// shortest is the length up to which any text is common when it is repeated.
const shortest = 4

// Common reports whether the password is on the list or little more than that: it, or what it repeats, consists of at
// most two pieces and a symbol. A piece is a password on the list, perhaps with digits and symbols for letters
// (p4ssw0rd), one character repeated, characters in a row (abcdef, 654321), or up to four digits, as in a year. Case is
// ignored.
func (p *Passwords) Common(password string) bool {
	whole := []rune(strings.ToLower(password))
	text := unrepeated(whole)
	if len(text) < len(whole) && len(text) <= shortest {
		return true
	}
	// costs[n] is the least that the first n characters cost.
	costs := make([]int, len(text)+1)
	for end := 1; end <= len(text); end++ {
		costs[end] = budget + 1
		for begin := end - 1; begin >= 0; begin-- {
			if costs[begin] < budget {
				costs[end] = min(costs[end], costs[begin]+p.cost(text[begin:end]))
			}
		}
	}
	return costs[len(text)] <= budget
}

func (p *Passwords) cost(piece []rune) int {
	switch {
	case len(piece) == 1 && !unicode.IsLetter(piece[0]) && !unicode.IsDigit(piece[0]):
		return symbolCost
	case inARow(piece),
		len(piece) <= 4 && !slices.ContainsFunc(piece, func(r rune) bool { return !unicode.IsDigit(r) }):
		return pieceCost
	case len(piece) <= p.longest:
		if text := string(piece); p.listed[text] || p.listed[plain.Replace(text)] {
			return pieceCost
		}
	}
	return budget + 1
}

// plain replaces digits and symbols by the letters that they often stand for.
var plain = strings.NewReplacer(
	"@", "a", "4", "a", "3", "e", "1", "i", "!", "i", "0", "o", "5", "s", "$", "s", "7", "t",
)

// unrepeated returns what text repeats, the last time perhaps not to its end: "abc" for "abcabca".
func unrepeated(text []rune) []rune {
	for period := 1; period <= len(text)/2; period++ {
		same := true
		for i := period; i < len(text) && same; i++ {
			same = text[i] == text[i-period]
		}
		if same {
			return text[:period]
		}
	}
	return text
}

// inARow reports whether three or more characters are all the same, or follow each other up or down; 0 follows 9.
func inARow(text []rune) bool {
	if len(text) < 3 {
		return false
	}
	step := text[1] - text[0]
	for i := 1; i < len(text); i++ {
		wraps := step == 1 && text[i-1] == '9' && text[i] == '0' || step == -1 && text[i-1] == '0' && text[i] == '9'
		if text[i]-text[i-1] != step && !wraps {
			return false
		}
	}
	return step >= -1 && step <= 1
}
