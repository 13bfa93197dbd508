package identity

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/norm"

	"conduit/internal/errs"
)

func TestFold(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"jake", "Jake", "JAKE"},
		{"josé", "jose\u0301", "JOSÉ", "JOSE\u0301"},
		{"straße", "STRASSE", "strasse", "STRAẞE"},
		{"ΣΊΣΥΦΟΣ", "σίσυφος", "σίσυφοσ"},
		{"ᎠᏰ", "ꭰᏸ"},
	} {
		for _, name := range same {
			if Fold(name) != Fold(same[0]) {
				t.Errorf("Fold(%q) = %q, Fold(%q) = %q", name, Fold(name), same[0], Fold(same[0]))
			}
		}
	}
	// Names that only look alike are two; telling them apart by eye is not the key's business.
	for _, pair := range [][2]string{{"jake", "jake1"}, {"I", "ı"}, {"a", "а"}} {
		if Fold(pair[0]) == Fold(pair[1]) {
			t.Errorf("%q and %q have one key", pair[0], pair[1])
		}
	}
}

func TestLook(t *testing.T) {
	t.Parallel()
	names := []string{"jake", "Ida", "max", "b0b", "i1l", "MIDAS", "zoë", "straße", "Иван", "山田", "🦊", "a b"}
	for _, name := range names {
		for _, spelling := range []string{strings.ToUpper(name), strings.ToLower(name)} {
			// A capital may look like something that its small letter does not: that holds for ASCII alone.
			if plain := len(name) == utf8.RuneCountInString(name); plain && Look(spelling) != Look(name) {
				t.Errorf("Look(%q) = %q, Look(%q) = %q", spelling, Look(spelling), name, Look(name))
			}
			if Look(spelling) == "" {
				t.Errorf("Look(%q) is empty", spelling)
			}
		}
	}
	// Whatever Unicode knows to look like ASCII, or to be another form of it, in either case.
	found := 0
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		name := "x" + string(r) + "y"
		problems := errs.Fields{}
		if checkUsername(problems, name); len(problems) > 0 || norm.NFD.String(name) != name {
			continue
		}
		plain := confusable.GetReplacement(r)
		if !IsASCII(plain) {
			plain = norm.NFKC.String(string(r))
		}
		other := "x" + plain + "y"
		if !IsASCII(plain) || Fold(name) == Fold(other) {
			continue
		}
		found++
		if Look(name) != Look(other) {
			t.Errorf("Look(%q) = %q, Look(%q) = %q", name, Look(name), other, Look(other))
		}
	}
	if found < 2000 {
		t.Errorf("only %d characters look like ASCII", found)
	}
	for pair, alike := range map[[2]string]bool{
		{"Bob", "Βob"}: true, {"fred", "ſred"}: true, {"call", "ϲall"}: true, {"bob", "Вob"}: true,
		{"henry", "Ηenry"}: true, {"Max", "Мax"}: true, {"max", "Мax"}: true,
		{"jose", "josé"}: false, {"Иван", "Iван"}: false, {"山田", "山口"}: false,
	} {
		if got := Look(pair[0]) == Look(pair[1]); got != alike {
			t.Errorf("%q and %q: alike is %v: %q, %q", pair[0], pair[1], got, Look(pair[0]), Look(pair[1]))
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, seed := range []string{"Jake", "jose\u0301", "ẞ", "ΐ", "\u0345\u0301", "ﬃ", "İ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if !utf8.ValidString(name) {
			return
		}
		folded := Fold(name)
		if again := Fold(string(folded)); again != folded {
			t.Errorf("Fold(%q) = %q, and Fold of that is %q", name, folded, again)
		}
		upper := Fold(strings.ToUpper(string(folded)))
		if !strings.ContainsRune(name, 'ı') && upper != folded && Fold(strings.ToLower(string(upper))) == folded {
			t.Errorf("Fold(%q) = %q, in upper case %q", name, folded, upper)
		}
	})
}

func TestUsernames(t *testing.T) {
	t.Parallel()
	for name, allowed := range map[string]bool{
		"jake": true, "Jean-Luc 2": true, "o'neil": true, "山田": true, "می\u200cخواهم": true, "🦊": true,
		"a.b": true, "...": true, "%2F": true, `\`: true,
		strings.Repeat("é", 64): true, strings.Repeat("é", 65): false,
		"": false, " ": false, "\u3000": false, " a": false, "a\n": false, "a\tb": false, ".": false, "..": false,
		"a/b": false, "/": false, "a\x00": false, "a\x7f": false, "a\u200bb": false, "a\u202eb": false,
		"a\u2028b": false, "\ufeffa": false, "a\u0085b": false, "a\U000e0041": false,
		"jake\u200c": false, "ja\u200dke": false, "\u200d": false, "jake\u034f": false, "jake\ufe0f": false,
		"\u3164": false, "\u2800": false,
	} {
		problems := errs.Fields{}
		checkUsername(problems, name)
		if (len(problems) == 0) != allowed {
			t.Errorf("%q: problems %v, allowed should be %v", name, problems, allowed)
		}
	}
}
