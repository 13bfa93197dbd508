package httpapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// avatar answers GET /avatars/{file} with a picture for a demo account, drawn from its number. So demo content looks
// alive without requests to anybody else's server.
func avatar(w http.ResponseWriter, r *http.Request) bool {
	name, isSVG := strings.CutSuffix(r.PathValue("file"), ".svg")
	number, err := strconv.ParseUint(name, 10, 32)
	if !isSVG || err != nil || strconv.FormatUint(number, 10) != name {
		return false
	}
	// With steps of the golden angle, neighbours have colours far apart.
	hue := number * 137 % 360
	header := w.Header()
	header.Set("Content-Type", "image/svg+xml")
	header.Set("Cache-Control", "public, max-age=86400")
	header.Set("Cross-Origin-Resource-Policy", "cross-origin") // for front ends on other origins
	_, _ = fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" width="96" height="96">`+
		`<rect width="96" height="96" fill="hsl(%d 60%% 80%%)"/>`+
		`<circle cx="48" cy="%d" r="18" fill="hsl(%d 55%% 40%%)"/>`+
		`<path d="M12 96a36 %d 0 0 1 72 0z" fill="hsl(%d 55%% 40%%)"/></svg>`, hue, 34+number%5, hue, 30+number%9, hue)
	return true
}
