package auth

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"
)

func newAuthenticators(t testing.TB, root byte, issuer string) *Authenticators {
	t.Helper()
	made, err := NewAuthenticators(bytes.Repeat([]byte{root}, kekLength), issuer)
	noError(t, err)
	return made
}

// TestSteps: a code counts half a minute before and after its time, if its step is later than the one given.
func TestSteps(t *testing.T) {
	t.Parallel()
	a := newAuthenticators(t, 1, "conduit.test")
	app, err := a.NewApp(7, "jake")
	noError(t, err)
	now := start.Truncate(30 * time.Second).Add(10 * time.Second)
	present := now.Unix() / 30
	for _, test := range []struct {
		of    int64 // the step of the code
		after int64
		ok    bool
	}{
		{present, 0, true}, {present - 1, 0, true}, {present + 1, 0, true},
		{present - 2, 0, false}, {present + 2, 0, false},
		{present, present - 1, true}, {present, present, false}, {present, present + 1, false},
		{present - 1, present - 1, false}, {present + 1, present, true}, {present + 1, present + 1, false},
	} {
		code, err := totp.GenerateCode(app.Secret, time.Unix(30*test.of, 0))
		noError(t, err)
		step, ok, err := a.Step(7, app.Sealed, code, now, test.after)
		noError(t, err)
		if ok != test.ok || ok && step != test.of {
			t.Errorf("a code of step %+d after %+d: %v, step %+d", test.of-present, test.after-present, ok,
				step-present)
		}
	}
	for _, code := range []string{"", "12345", "1234567", "abcdef", "１２３４５６", app.Secret, " 12345"} {
		if _, ok, err := a.Step(7, app.Sealed, code, now, 0); ok || err != nil {
			t.Errorf("%q: %v, %v", code, ok, err)
		}
	}
}

// TestAppsAreSealed for their user, under the root.
func TestAppsAreSealed(t *testing.T) {
	t.Parallel()
	a := newAuthenticators(t, 1, "conduit.test")
	app, err := a.NewApp(7, "jake")
	noError(t, err)
	if bytes.Contains(app.Sealed, []byte(app.Secret)) {
		t.Error("the secret is not sealed")
	}
	code, err := totp.GenerateCode(app.Secret, start)
	noError(t, err)
	for name, step := range map[string]func() (int64, bool, error){
		"another user": func() (int64, bool, error) { return a.Step(8, app.Sealed, code, start, 0) },
		"another root": func() (int64, bool, error) {
			return newAuthenticators(t, 2, "conduit.test").Step(7, app.Sealed, code, start, 0)
		},
		"cut short": func() (int64, bool, error) { return a.Step(7, app.Sealed[:20], code, start, 0) },
	} {
		_, ok, err := step()
		if ok {
			t.Errorf("%s: the code is right", name)
		}
		wantError(t, name, err, ErrSealed)
	}
	_, ok, err := newAuthenticators(t, 1, "another issuer").Step(7, app.Sealed, code, start, 0)
	if !ok || err != nil {
		t.Errorf("another instance: %v, %v", ok, err)
	}
}

func TestRecoveryCodesAreHashed(t *testing.T) {
	t.Parallel()
	a := newAuthenticators(t, 1, "conduit.test")
	code := a.NewRecoveryCode()
	if !regexp.MustCompile(`^([a-z2-7]{4}-){3}[a-z2-7]{4}$`).MatchString(code) || code == a.NewRecoveryCode() {
		t.Errorf("code %s", code)
	}
	hash := a.HashRecoveryCode(7, code)
	for _, written := range []string{strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + code + "\n"} {
		if !bytes.Equal(hash, a.HashRecoveryCode(7, written)) {
			t.Errorf("%q has another hash", written)
		}
	}
	for name, other := range map[string][]byte{
		"another code": a.HashRecoveryCode(7, a.NewRecoveryCode()), "another user": a.HashRecoveryCode(8, code),
		"another root": newAuthenticators(t, 2, "").HashRecoveryCode(7, code),
	} {
		if bytes.Equal(hash, other) {
			t.Errorf("%s has the same hash", name)
		}
	}
}

// TestQRCode: the picture is XML, and has just the modules of the QR code, in a margin.
func TestQRCode(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"jake", "Ærø ❤ " + strings.Repeat("🦊", 60), "a:b&c=d?<>\"'/%"} {
		app, err := newAuthenticators(t, 1, "blog: "+name).NewApp(7, name)
		noError(t, err)
		key, err := otp.NewKeyFromURL(app.URL)
		noError(t, err)
		wantSame(t, "secret in the URL", app.Secret, key.Secret())
		wantSame(t, "account in the URL", short(name), key.AccountName())
		wantSame(t, "issuer in the URL", short("blog: "+name), key.Issuer())
		if len(app.QRCode) > 200_000 {
			t.Errorf("the picture has %d bytes", len(app.QRCode))
		}
		var picture struct {
			ViewBox string `xml:"viewBox,attr"`
			Paths   []struct {
				D string `xml:"d,attr"`
			} `xml:"path"`
		}
		noError(t, xml.Unmarshal([]byte(app.QRCode), &picture))
		code, err := qr.Encode(app.URL, qr.M, qr.Auto)
		noError(t, err)
		size := code.Bounds().Dx()
		wantSame(t, "viewBox", fmt.Sprintf("0 0 %d %[1]d", size+8), picture.ViewBox)
		drawn, runs := map[[2]int]bool{}, regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-\d+z`)
		for _, run := range runs.FindAllStringSubmatch(picture.Paths[1].D, -1) {
			x, _ := strconv.Atoi(run[1])
			y, _ := strconv.Atoi(run[2])
			length, _ := strconv.Atoi(run[3])
			for i := range length {
				drawn[[2]int{x + i - 4, y - 4}] = true
			}
		}
		for x := range size {
			for y := range size {
				red, _, _, _ := code.At(x, y).RGBA()
				if drawn[[2]int{x, y}] != (red == 0) {
					t.Fatalf("module %d, %d", x, y)
				}
			}
		}
	}
}
