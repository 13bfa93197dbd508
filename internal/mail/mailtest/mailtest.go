// Package mailtest runs mail servers for tests.
package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Message is what a server took.
type Message struct {
	To   string // of the envelope
	Text string // with all headers
}

// Header returns a header of the message.
func (m Message) Header(t testing.TB, name string) string {
	t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(m.Text))
	if err != nil {
		t.Fatalf("no message: %v: %s", err, m.Text)
	}
	return parsed.Header.Get(name)
}

// Server is an SMTP server on loopback.
type Server struct {
	Addr  string // HOST:PORT
	User  string // if set, it wants this name with the password "secret"
	Roots *x509.CertPool

	inner      *smtp.Server
	mutex      sync.Mutex
	messages   []Message
	rcpt, data func(to string) error
}

// Options say what the server offers.
type Options struct {
	StartTLS, TLS bool
	User          string
}

// New starts a server. It ends with the test.
func New(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{User: o.User}
	s.inner = smtp.NewServer(s)
	s.inner.Domain, s.inner.AllowInsecureAuth, s.inner.EnableSMTPUTF8 = "localhost", true, true
	s.inner.ErrorLog = silent{}
	s.inner.ReadTimeout, s.inner.WriteTimeout = time.Minute, time.Minute
	config := s.certificate(t)
	if o.StartTLS {
		s.inner.TLSConfig = config
	}
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = listener.Addr().String()
	if o.TLS {
		listener = tls.NewListener(listener, config)
	}
	go func() { _ = s.inner.Serve(listener) }()
	t.Cleanup(func() { _ = s.inner.Close() })
	return s
}

type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// certificate makes one for loopback, and has Roots trust it.
func (s *Server) certificate(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	s.Roots = x509.NewCertPool()
	s.Roots.AddCert(parsed)
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
}

// URL returns the URL of a server without TLS.
func (s *Server) URL() string { return "smtp://" + s.Addr + "?tls=none&timeout=5s" }

// Decide sets what decides about a recipient from now on, and what about a message that has come as a whole; nil lets
// all pass. An *smtp.SMTPError is the answer. The message is kept only without an error.
func (s *Server) Decide(rcpt, data func(to string) error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.rcpt, s.data = rcpt, data
}

func (s *Server) decide(by *func(string) error, to string) error {
	s.mutex.Lock()
	decide := *by
	s.mutex.Unlock()
	if decide == nil {
		return nil
	}
	return decide(to)
}

// Messages returns what the server has taken.
func (s *Server) Messages() []Message {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]Message{}, s.messages...)
}

// Keep keeps a message. A Data that does not return calls it, for a message that is taken before the answer.
func (s *Server) Keep(message Message) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.messages = append(s.messages, message)
}

// NewSession implements [smtp.Backend].
func (s *Server) NewSession(conn *smtp.Conn) (smtp.Session, error) {
	return &session{server: s, conn: conn.Conn()}, nil
}

// Cut is an answer that never comes: the connection breaks.
var Cut = errors.New("cut the connection") //nolint:revive,staticcheck // it is an answer and no failure

type session struct {
	server  *Server
	conn    net.Conn
	to      string
	allowed bool
}

// AuthMechanisms implements [smtp.AuthSession].
func (s *session) AuthMechanisms() []string {
	if s.server.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements [smtp.AuthSession].
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != s.server.User || password != "secret" {
			return smtp.ErrAuthFailed
		}
		s.allowed = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.server.User != "" && !s.allowed {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.server.decide(&s.server.rcpt, to)
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.decide(&s.server.data, s.to); err != nil {
		if errors.Is(err, Cut) {
			_ = s.conn.Close()
		}
		return err
	}
	s.server.Keep(Message{s.to, string(text)})
	return nil
}

func (s *session) Reset() { s.to = "" }

func (s *session) Logout() error { return nil }
