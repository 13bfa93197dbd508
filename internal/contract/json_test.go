package contract

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecode: what is accepted, encoding/json accepts and reads the same way; what is refused has a problem.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"user":{"email":"a@b.c","n":[1,-2.5e3,true,false,null,"\u00e9\ud83e\udd8a\n"]}}`,
		`{"a":1,"a":2}`, `{"a":1} x`, `"\ud800"`, "\"\xff\"", `"\u0000"`, `[[[[[]]]]]`, ``, ` `, `nul`, `{"a"}`, `01`,
		`1.`, "\"\t\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, problems := decode(data, bounds{}, nil)
		if len(problems) > 0 {
			if got != nil {
				t.Fatal("a value in spite of problems")
			}
			return
		}
		if !utf8.Valid(data) {
			t.Fatal("accepted invalid UTF-8")
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(sameNumber)); diff != "" {
			t.Fatalf("read another way (-encoding/json +ours):\n%s", diff)
		}
	})
}

// sameNumber reports whether two texts stand for one number.
func sameNumber(one, other json.Number) bool {
	first, err := one.Float64()
	second, _ := other.Float64()
	return one == other || err == nil && first == second
}

func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]json.Number{
		"7": "7", "1.0": "1", "1e2": "100", "100e-2": "1", "-0.0": "0", "-2.5E3": "-2500", "1.5": "1.5", "1e-9": "1e-9",
		"9007199254740993": "9007199254740993", "9007199254740992.0": "9007199254740992", "1e300": "1e300",
		"1e400": "1e400",
	} {
		if got, problems := decode([]byte(text), bounds{}, nil); got != want || problems != nil {
			t.Error(text, "is read as", got, problems)
		}
	}
}
