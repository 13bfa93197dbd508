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
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("read another way (-encoding/json +ours):\n%s", diff)
		}
	})
}
