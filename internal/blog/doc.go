// Package blog is what people write: articles, comments, who follows whom, and which articles are whose favourites.
//
// Each noun has a file with its type, the store interface it needs, and a service that holds its rules. Who is asking
// comes from package identity, as a Caller; an anonymous one is the zero value. The package knows nothing of HTTP, JSON
// or SQL.
package blog
