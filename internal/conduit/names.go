package conduit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Limits, in characters (Unicode code points after NFC).
const (
	maxUsername = 64
	maxEmail    = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
	minPassword = 8   // NIST SP 800-63B-4 §3.1.1.2
	maxPassword = 128
)

// Key is the form in which names and addresses are compared: two that differ only by case or by the composition of
// their characters are one. It is made here and not by lower() in SQL, since SQLite's knows ASCII only.
func Key(name string) string {
	// Folding may decompose, and normalising may bring back what folds again; the second round makes it stable.
	folded := cases.Fold().String(norm.NFC.String(name))
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(folded)))
}

// checkUsername adds what is wrong with username, which is NFC already. Names stand in URLs as one segment, which
// rules out slashes and the two dot names.
func checkUsername(problems Fields, username string) {
	switch {
	case strings.TrimSpace(username) == "":
		problems.Add("username", blank)
	case utf8.RuneCountInString(username) > maxUsername:
		problems.Add("username", tooLong(maxUsername))
	case strings.TrimSpace(username) != username:
		problems.Add("username", "must not begin or end with a blank")
	case username == "." || username == ".." || strings.Contains(username, "/") || strings.ContainsFunc(username, unseen):
		problems.Add("username", "contains characters that are not allowed")
	}
}

// unseen tells characters that would make two names look alike or turn the text around them: controls, formats, line
// separators. The two joiners are excepted, since Persian and Indic words are spelled with them.
func unseen(r rune) bool {
	return !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d'
}

// checkEmail adds what is wrong with email, which is NFC already. Whether an address exists only a message to it can
// tell, so this asks for no more than its two parts.
func checkEmail(problems Fields, email string) {
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case strings.TrimSpace(email) == "":
		problems.Add("email", blank)
	case utf8.RuneCountInString(email) > maxEmail:
		problems.Add("email", tooLong(maxEmail))
	case local == "" || domain == "" || strings.Contains(domain, "@") ||
		strings.ContainsFunc(email, unicode.IsSpace) || strings.ContainsFunc(email, unseen):
		problems.Add("email", "is not a valid email")
	}
}

// checkPassword adds what is wrong with password. Length is the only rule (NIST SP 800-63B-4 §3.1.1.2: no rules of
// composition), counted in characters of the normalised form, which is what is hashed.
func checkPassword(problems Fields, password string) {
	switch count := utf8.RuneCountInString(norm.NFC.String(password)); {
	case password == "":
		problems.Add("password", blank)
	case count < minPassword:
		problems.Add("password", tooShort(minPassword))
	case count > maxPassword:
		problems.Add("password", tooLong(maxPassword))
	}
}
