package auth

import (
	"testing"
	"time"
)

func BenchmarkVerifyCached(b *testing.B) {
	f := newFixture(b, "EdDSA")
	token := f.issue(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.tokens.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyUncached(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(algorithm, func(b *testing.B) {
			f := newFixture(b, algorithm)
			token := f.issue(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := f.tokens.verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(algorithm, func(b *testing.B) {
			f := newFixture(b, algorithm)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.tokens.Issue(b.Context(), 7, "session-1", start, start.Add(time.Hour)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkHash(b *testing.B) {
	p := NewPasswords(PasswordOptions{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Hash(b.Context(), "correct horse battery staple"); err != nil {
			b.Fatal(err)
		}
	}
}
