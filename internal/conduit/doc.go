// Package conduit is the domain: what Conduit is, and what people may do in it.
//
// Each noun has a file with its type, the small store interface it needs, and a service that holds its rules. The
// package knows nothing of HTTP, JSON, SQL or tokens' insides: it imports the standard library, golang.org/x/text and
// gosimple/slug (how names are normalised and compared, and what a title looks like in a URL, are rules of ours which
// the standard library has no words for). Everything it needs from other rooms it declares as an interface; cmd/conduit
// plugs them together.
package conduit
