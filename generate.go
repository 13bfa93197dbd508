// Package openapi holds the contract itself, [Document], and the commands which make code from it.
//
// It knows nothing of Go types or of HTTP. Rooms that need the contract at run time take the bytes from here, so that
// there is one copy, and it is the file that people read.
package openapi

import _ "embed"

//go:generate go tool -modfile=tools/go.mod oapi-codegen -config api/oapi-codegen.yaml openapi.yaml
//go:generate go -C tools run ./changelog

// Document is openapi.yaml as it stands, comments included.
//
//go:embed openapi.yaml
var Document []byte
