package httpapi_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// listPath is the path of a list under the key that signs.
func (s *server) listPath(number int64) string {
	kid := ""
	for _, key := range s.Keys.Keys() {
		if key.State == "active" {
			kid = key.ID
		}
	}
	return fmt.Sprint("/api/status-lists/", kid, ".", number)
}

// statusClaims are those of a token or of a list that have to do with lists.
type statusClaims struct {
	Issuer   string `json:"iss"`
	Subject  string `json:"sub"`
	IssuedAt int64  `json:"iat"`
	Expires  int64  `json:"exp"`
	TTL      int64  `json:"ttl"`
	List     struct {
		Bits int    `json:"bits"`
		List string `json:"lst"`
	} `json:"status_list"`
	Status struct {
		List struct {
			Index int    `json:"idx"`
			URI   string `json:"uri"`
		} `json:"status_list"`
	} `json:"status"`
}

func claimsOf(t testing.TB, token string) (claims statusClaims) {
	t.Helper()
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// readList reads the list that a token names, as a service would that has the public keys and nothing else. It returns
// the bits.
func (s *server) readList(t testing.TB, token string) []byte {
	t.Helper()
	uri := claimsOf(t, token).Status.List.URI
	path, below := strings.CutPrefix(uri, issuer)
	if !below {
		t.Fatalf("a list at %s", uri)
	}
	got := s.do(t, get(path, "")).want(t, 200, "")
	keys, err := jwk.Parse([]byte(s.do(t, get("/.well-known/jwks.json", "")).body))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify([]byte(got.body), jws.WithKeySet(keys)); err != nil {
		t.Fatalf("the list: %v", err)
	}
	list := claimsOf(t, got.body)
	wantSame(t, "sub", uri, list.Subject)
	return unpacked(t, list)
}

func unpacked(t testing.TB, list statusClaims) []byte {
	t.Helper()
	packed, err := base64.RawURLEncoding.DecodeString(list.List.List)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	bits, err := io.ReadAll(reader)
	if err != nil || len(bits) != 1<<14 {
		t.Fatal(len(bits), err)
	}
	return bits
}

// ended reports whether the list says of a token that it has ended.
func (s *server) ended(t testing.TB, token string) bool {
	t.Helper()
	index := claimsOf(t, token).Status.List.Index
	return s.readList(t, token)[index/8]&(1<<(index%8)) != 0
}
