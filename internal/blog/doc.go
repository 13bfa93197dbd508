// Package blog is about what people write: articles, comments, who follows whom, and which articles are whose
// favourites.
//
// Each noun has a file with its type, the store interface it needs, and a service that holds its rules. Package
// identity says who is asking, as a Caller; the zero value is anonymous. The package knows nothing of HTTP, JSON or
// SQL.
package blog
