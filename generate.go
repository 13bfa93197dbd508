// Package openapi holds the contract itself, [Document], that of worlds, and the commands which make code from them.
//
// It knows nothing of Go types or of HTTP. Rooms that need a contract at run time take the bytes from here, so that
// there is one copy, and it is the file that people read.
package openapi

import _ "embed"

//go:generate go tool -modfile=tools/go.mod oapi-codegen -config api/oapi-codegen.yaml openapi.yaml
//go:generate go -C tools run ./changelog
//go:generate go tool -modfile=tools/go.mod oapi-codegen -config contract/oapi-codegen.yaml contract/worlds.yaml

// Document is openapi.yaml as it stands, comments included.
//
//go:embed openapi.yaml
var Document []byte

// Worlds is contract/worlds.yaml, the contract of what makes worlds for tests.
//
//go:embed contract/worlds.yaml
var Worlds []byte
