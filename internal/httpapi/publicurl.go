package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// PublicURL is where others reach the server, through a proxy and perhaps below a path. It has no slash at its end, and
// is empty if it is not known.
type PublicURL string

// plainPath matches a path in which nothing has to be escaped, so that everybody on the way reads the same.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

// ownPaths are the paths below which the server has something itself.
var ownPaths = []string{
	base, "/.well-known", "/avatars", "/docs", "/healthz", "/livez", "/openapi.json", "/openapi.yaml", "/readyz",
}

// ParsePublicURL reads a URL like https://example.com/blog.
func ParsePublicURL(text string) (PublicURL, error) {
	if text == "" {
		return "", nil
	}
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.User != nil ||
		strings.ContainsAny(text, "?#") {
		return "", errors.New("want a URL like https://conduit.example.com or https://example.com/blog")
	}
	public := PublicURL(strings.TrimRight(text, "/"))
	prefix := public.prefix()
	if !plainPath.MatchString(prefix) {
		return "", fmt.Errorf("its path %s is not made of plain names: want one like https://example.com/blog", prefix)
	}
	for _, own := range ownPaths {
		if strings.HasPrefix(prefix+"/", own+"/") {
			return "", fmt.Errorf("%s is what the server has below its URL: want the URL without it", own)
		}
	}
	return public, nil
}

// prefix returns the path of the URL: "", or one like "/blog".
func (p PublicURL) prefix() string {
	parsed, err := url.Parse(string(p))
	if err != nil {
		return ""
	}
	return strings.TrimRight(parsed.EscapedPath(), "/")
}

// below strips the path of the public URL from requests, for proxies that leave it there. It leaves requests alone
// whose proxy has stripped it.
func below(next http.Handler, prefix string) http.Handler {
	if prefix == "" {
		return next
	}
	stripped := http.StripPrefix(prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch escaped := r.URL.EscapedPath(); {
		case escaped == prefix && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			redirectTo(path.Base(prefix)+"/docs").ServeHTTP(w, r)
		case strings.HasPrefix(escaped, prefix+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// redirectTo redirects to a relative URL, so that it stays below whatever path a proxy has put before it.
// [http.Redirect] would make it absolute.
func redirectTo(relative string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", relative)
		w.WriteHeader(http.StatusFound)
	})
}

// issuedUnder reports whether the rest of a well-known path is the path of the issuer (RFC 8414 §3.1): the metadata of
// https://example.com/blog is at https://example.com/.well-known/oauth-authorization-server/blog.
func issuedUnder(issuer, rest string) bool {
	parsed, err := url.Parse(issuer)
	return err == nil && parsed.Host != "" && rest != "" && strings.Trim(parsed.Path, "/") == rest
}
