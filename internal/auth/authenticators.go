package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"conduit/internal/random"

	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"
)

// Authenticators makes and reads what people prove themselves with beside a password: authenticator apps, which show a
// code that changes all the time (TOTP, RFC 6238), and recovery codes, for when the app is lost. It is safe for
// concurrent use.
//
// Secrets of apps are sealed, each for its user, and recovery codes are hashed under a key. Both keys are derived from
// the root, which rests under the key-encryption key. So a copy of the database is no help to whoever guesses, and
// another key-encryption key changes nothing here.
type Authenticators struct {
	sealer *Sealer
	key    []byte // of the hashes of recovery codes
	issuer string
	// Random is where secrets and codes come from; nil is the system's source. Another one is for tests alone.
	Random random.Source
}

// NewAuthenticators derives its keys from what [OpenRoot] returns. Apps show the issuer beside each code.
func NewAuthenticators(root []byte, issuer string) (*Authenticators, error) {
	kek, err := DeriveSecret(root, "conduit factors: seals of authenticator apps")
	if err != nil {
		return nil, err
	}
	key, err := DeriveSecret(root, "conduit factors: hashes of recovery codes")
	if err != nil {
		return nil, err
	}
	sealer, err := NewSealer(kek)
	return &Authenticators{sealer: sealer, key: key, issuer: short(issuer)}, err
}

// App is the secret of an authenticator app, in the ways in which a person can give it to the app.
type App struct {
	Sealed []byte // what is stored
	Secret string // in base32, to type
	URL    string // otpauth://…, to open
	QRCode string // the URL as an SVG picture, to photograph
}

// codeOf is the kind of code that every app knows.
var codeOf = hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1}

// stepLength is how long a code is shown.
const stepLength = 30 * time.Second

// NewApp makes a secret of 160 bits for a user.
func (a *Authenticators) NewApp(userID int64, username string) (App, error) {
	made, err := totp.Generate(totp.GenerateOpts{
		Issuer: a.issuer, AccountName: short(username), Period: uint(stepLength.Seconds()), SecretSize: 20,
		Digits: codeOf.Digits, Algorithm: codeOf.Algorithm, Rand: a.Random,
	})
	if err != nil {
		return App{}, fmt.Errorf("auth: make the secret of an authenticator app: %w", err)
	}
	picture, err := qrCode(made.URL())
	return App{
		Sealed: a.sealer.Seal(appContext(userID), []byte(made.Secret())),
		Secret: made.Secret(), URL: made.URL(), QRCode: picture,
	}, err
}

// Step returns the time step of which a code is, if that is the present one, the one before or the one behind it, and
// comes after the step given. So a code that was used does not pass again. ok is false for any other code. The error is
// ErrSealed if the secret was sealed for another user, or under another root.
func (a *Authenticators) Step(
	userID int64, sealed []byte, code string, now time.Time, after int64,
) (step int64, ok bool, err error) {
	secret, err := a.sealer.Open(appContext(userID), sealed)
	if err != nil {
		return 0, false, fmt.Errorf("auth: open the secret of an authenticator app: %w", err)
	}
	present := now.Unix() / int64(stepLength.Seconds())
	for step := max(present-1, after+1); step <= present+1; step++ {
		ok, err := hotp.ValidateCustom(code, uint64(step), string(secret), codeOf)
		if ok || err != nil && !errors.Is(err, otp.ErrValidateInputInvalidLength) {
			return step, ok, err
		}
	}
	return 0, false, nil
}

// appContext is what the secret of a user's app is sealed for. Keys are sealed for their kid, which has no blanks.
func appContext(userID int64) string { return fmt.Sprint("app of user ", userID) }

// NewRecoveryCode returns a code of 80 random bits, in groups that people can copy.
func (a *Authenticators) NewRecoveryCode() string {
	code := strings.ToLower(base32.StdEncoding.EncodeToString(random.Bytes(a.Random, 10)))
	return code[:4] + "-" + code[4:8] + "-" + code[8:12] + "-" + code[12:]
}

// HashRecoveryCode returns what is stored of a user's code. It makes no difference in which case the code is written,
// and whether it has dashes and blanks.
func (a *Authenticators) HashRecoveryCode(userID int64, code string) []byte {
	sum := hmac.New(sha256.New, a.key)
	fmt.Fprint(sum, userID, ":", strings.ToLower(strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, code)))
	return sum.Sum(nil)
}

// short returns what an app shows of a name: it has little room, and so has a QR code. A colon would end the name, and
// so would an ampersand, which the library leaves as it is.
func short(name string) string {
	runes := []rune(strings.NewReplacer(":", " ", "&", " ").Replace(name))
	return string(runes[:min(len(runes), 32)])
}

// qrCode returns a text as a picture of black modules on white, with the margin that readers need (ISO/IEC 18004).
func qrCode(text string) (svg string, err error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return "", fmt.Errorf("auth: make a QR code: %w", err)
	}
	const margin = 4
	size := code.Bounds().Dx()
	black := func(x, y int) bool {
		if x == size {
			return false
		}
		red, _, _, _ := code.At(x, y).RGBA()
		return red == 0
	}
	var picture strings.Builder
	fmt.Fprintf(&picture, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %[1]d"`+
		` shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%[1]dv%[1]dH0z"/><path d="`, size+2*margin)
	for y := range size {
		for x := 0; x < size; x++ {
			if !black(x, y) {
				continue
			}
			from := x
			for black(x, y) {
				x++
			}
			fmt.Fprintf(&picture, "M%d %dh%dv1h-%[3]dz", from+margin, y+margin, x-from)
		}
	}
	picture.WriteString(`"/></svg>`)
	return picture.String(), nil
}
