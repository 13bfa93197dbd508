package blog

import (
	"iter"
	"strings"

	"github.com/gosimple/slug"
)

// maxSlug is how long a slug is before a suffix, in characters, all of which are ASCII.
const maxSlug = 100

// SlugBase makes one path segment out of a title in any script: transliterated, lower case, words joined by hyphens,
// cut between words. A title without letters or digits becomes "article".
func SlugBase(title string) string {
	base := slug.Make(title)
	if len(base) > maxSlug {
		cut := base[:maxSlug]
		if end := strings.LastIndexByte(cut, '-'); base[maxSlug] != '-' && end > maxSlug/2 {
			cut = cut[:end]
		}
		base = strings.TrimRight(cut, "-_")
	}
	if base == "" {
		return "article"
	}
	return base
}

// slugsFor returns slugs for a title, the best first. The store takes the first that is free. Suffixes are random: if
// they counted up, everybody who publishes under one title would have to wait in line.
func slugsFor(title string, newID func() string) iter.Seq[string] {
	base := SlugBase(title)
	return func(yield func(string) bool) {
		if base != "feed" && !yield(base) { // GET /articles/feed is the feed
			return
		}
		for yield(base + "-" + strings.ToLower(newID()[:8])) {
		}
	}
}
