package auth

import "testing"

func BenchmarkVerifyCached(b *testing.B) {
	f := newFixture(b, "EdDSA")
	token := f.issue(b)
	b.ReportAllocs()
	for b.Loop() {
		noError(b, f.verify(b, token))
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
				f.issue(b)
			}
		})
	}
}

func BenchmarkHash(b *testing.B) {
	p := NewPasswords(PasswordOptions{})
	b.ReportAllocs()
	for b.Loop() {
		mustHash(b, p, "correct horse battery staple")
	}
}
