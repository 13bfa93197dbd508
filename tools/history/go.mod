module conduit/tools/history

go 1.26.0

toolchain go1.26.8

// npm packages may hold Go files.
ignore node_modules

require (
	github.com/oapi-codegen/nullable v1.1.0
	github.com/oapi-codegen/runtime v1.8.0
)

require (
	github.com/apapsch/go-jsonmerge/v2 v2.0.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
)
