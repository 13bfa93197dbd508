package httpapi

import (
	"context"

	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/contract"
	"conduit/internal/identity"
)

// handlers has the strict methods, in files by noun. Add one here and there when the compiler says that
// api.StrictServerInterface is not implemented: see CONTRIBUTING.md, "To add an endpoint".
type handlers struct{ Config }

var _ api.StrictServerInterface = (*handlers)(nil)

// located returns the path of something below the contract's own.
func located(path string) string { return base + path }

// callerFrom returns the caller of the request. There always is one, authenticated or anonymous. An anonymous one does
// not reach operations that require a token.
func callerFrom(ctx context.Context) identity.Caller { return requestFrom(ctx).caller }

// clientFrom returns where the request comes from. What is counted of it is noted from then on.
func clientFrom(ctx context.Context) identity.Client {
	client := &requestFrom(ctx).client
	if client.Limits == nil {
		client.Limits = &identity.Limits{}
	}
	return *client
}

// What an answer may take while it is made, in bytes: the texts as the database returns them and as JSON, in which a
// byte may take six. An answer that takes none of these beforehand is charged when it is written, if it is long enough
// to be compressed.
const (
	articleMemory = 4 << 20  // an article with its text
	summaryMemory = 64 << 10 // a row of a list of articles
	commentMemory = 24 << 10 // a comment without its text
	textMemory    = 12       // times the size of a text: six, as JSON, which is held twice while it is made
)

// roomForAnswer takes memory for an answer, until it has been sent.
func roomForAnswer(ctx context.Context, size int64) error {
	return requestFrom(ctx).memory.TakeForAnswer(ctx, size)
}

// unlessKnown reads something that has versions, unless the client has it already; see [contract.UnlessKnown].
func unlessKnown[T interface{ Version() contract.Version }](
	ctx context.Context, read func(blog.Detail) (T, error),
) (T, error) {
	return contract.UnlessKnown(&requestFrom(ctx).Exchange, func(outline bool) (T, error) {
		if outline {
			return read(blog.Outline)
		}
		return read(blog.Whole)
	})
}
