// Package conduit is the domain: what Conduit is, and what people may do in it.
//
// Each noun has a file with its type, the small store interface it needs, and a service that holds its rules. The package
// knows nothing of HTTP, JSON, SQL or tokens' insides: it imports the standard library and golang.org/x/text (Unicode
// normalisation and case folding are rules of ours and not in the standard library). Everything it needs from other rooms
// it declares as an interface; cmd/conduit plugs them together.
package conduit
