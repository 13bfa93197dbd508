package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
)

// Limits, in characters (Unicode code points after NFC).
const (
	maxUsername = 64
	maxEmail    = 254 // RFC 5321 §4.5.3.1.3, less the angle brackets
	minPassword = 8   // NIST SP 800-63B-4 §3.1.1.2
	maxPassword = 128
)

// Folded is a name or an email in the form in which they are compared: two that differ only by case or by the
// composition of their characters are one.
type Folded string

// Fold returns that form. It is made here and not by lower() in SQL, since SQLite's knows ASCII only.
//
// x/text folds no Cherokee, whose small letters came to Unicode last: they become capitals here.
func Fold(name string) Folded {
	name = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cherokee, r) {
			return unicode.ToUpper(r)
		}
		return r
	}, name)
	// Folding may decompose, and normalising may bring back what folds again; the second round makes it stable.
	folded := cases.Fold().String(norm.NFC.String(name))
	return Folded(norm.NFC.String(cases.Fold().String(norm.NFC.String(folded))))
}

// Look returns the form in which names are compared by eye. Two names with the same look are easily confused, whatever
// scripts and cases they are in (UTS #39, skeletons). Two names in ASCII may have the same look even so, for people are
// used to reading them: "rnax" and "max" can both be users. A name in another script can pass neither for a name in
// ASCII nor for a third.
//
// Looks are stored. If this function or the tables of the library change, a migration must set them to null. The next
// start then makes them anew.
func Look(name string) string {
	var known strings.Builder
	for _, r := range norm.NFD.String(name) {
		// Skeletons do not know every form of ASCII; superscripts are missing. What they do know may look like
		// something else: a long s is an s, and looks like an f.
		if form := norm.NFKC.String(string(r)); IsASCII(form) && !IsASCII(confusable.GetReplacement(r)) {
			known.WriteString(form)
		} else {
			known.WriteRune(r)
		}
	}
	look := known.String()
	for range 2 { // a capital's small letter may look like something else again: M is m, and m is rn
		look = cases.Fold().String(norm.NFKC.String(confusable.Skeleton(look)))
	}
	return strings.ReplaceAll(look, "i", "l") // a capital i is l already
}

// IsASCII reports whether a text is in ASCII and not empty.
func IsASCII(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r > unicode.MaxASCII })
}

// NamelessUser is the author of what is left of a deleted account while it is removed. A slash is in no name, so nobody
// can take it and pass for the author.
const NamelessUser = "deleted/account"

// checkUsername adds what is wrong with username, which is NFC already. A username is one segment of a URL. That rules
// out slashes and the names "." and "..". Package precis would refuse names that people have: its usernames allow no
// blanks and emoji, its free text no middle dots.
func checkUsername(problems errs.Fields, username string) {
	switch {
	case strings.TrimSpace(username) == "":
		problems.Add("username", errs.Blank)
	case utf8.RuneCountInString(username) > maxUsername:
		problems.Add("username", errs.TooLong(maxUsername))
	case strings.TrimSpace(username) != username:
		problems.Add("username", "must not begin or end with a blank")
	case username == "." || username == ".." || strings.Contains(username, "/") || unseen(username),
		Look(username) == Look(NamelessUser):
		problems.Add("username", "contains characters that are not allowed")
	}
}

// joining are the scripts in which words are spelled with joiners: Arabic's and India's.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Syriac, unicode.Devanagari, unicode.Bengali, unicode.Gurmukhi, unicode.Gujarati,
	unicode.Oriya, unicode.Tamil, unicode.Telugu, unicode.Kannada, unicode.Malayalam, unicode.Sinhala,
}

// unseen reports whether a text has characters that show nothing, which would make two names look alike, or that turn
// the text around them. Such are controls, formats, line separators, fillers, variation selectors, the empty Braille
// cell, and joiners anywhere but between letters of a script that has joiners (compare RFC 5892, appendix A).
func unseen(text string) bool {
	runes := []rune(text)
	for i, r := range runes {
		switch {
		case r == '\u200c' || r == '\u200d':
			if i == 0 || i == len(runes)-1 ||
				!unicode.In(runes[i-1], joining...) || !unicode.In(runes[i+1], joining...) {
				return true
			}
		case !unicode.IsGraphic(r), r == '\u2800',
			unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			return true
		}
	}
	return false
}

// checkEmail adds what is wrong with email, which is NFC already. Only a message to an email can prove that it exists,
// so this asks for no more than its two parts.
func checkEmail(problems errs.Fields, email string) {
	local, domain, _ := strings.Cut(email, "@")
	switch {
	case strings.TrimSpace(email) == "":
		problems.Add("email", errs.Blank)
	case utf8.RuneCountInString(email) > maxEmail:
		problems.Add("email", errs.TooLong(maxEmail))
	case local == "" || domain == "" || strings.Contains(domain, "@") ||
		strings.ContainsFunc(email, unicode.IsSpace) || unseen(email):
		problems.Add("email", "is not a valid email")
	}
}

// checkPassword adds what is wrong with the length of password. Unless the policy is strict, that is the only rule
// (NIST SP 800-63B-4 §3.1.1.2: no rules of composition). The characters of the normalised form count, for that form is
// hashed.
func checkPassword(problems errs.Fields, password string, least int) {
	switch count := utf8.RuneCountInString(norm.NFC.String(password)); {
	case password == "":
		problems.Add("password", errs.Blank)
	case count < least:
		problems.Add("password", errs.TooShort(least))
	case count > maxPassword:
		problems.Add("password", errs.TooLong(maxPassword))
	}
}
