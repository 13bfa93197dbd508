package httpapi

import (
	"context"
	"strconv"

	"conduit/api"
	"conduit/internal/blog"
)

// GetArticleComments implements GET /articles/{slug}/comments.
func (h *handlers) GetArticleComments(
	ctx context.Context, request api.GetArticleCommentsRequestObject,
) (api.GetArticleCommentsResponseObject, error) {
	filter, err := commentFilter(request.Params.Limit, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	page, err := unlessKnown(ctx, func(detail blog.Detail) (blog.CommentPage, error) {
		filter.Detail, filter.Room = detail, func(rows, bytes int) error {
			return roomForAnswer(ctx, int64(rows*commentMemory+bytes*textMemory))
		}
		return h.Comments.List(ctx, callerFrom(ctx), request.Slug, filter)
	})
	if err != nil {
		return nil, err
	}
	return api.GetArticleComments200JSONResponse(commentList(page)), nil
}

// CreateArticleComment implements POST /articles/{slug}/comments.
func (h *handlers) CreateArticleComment(
	ctx context.Context, request api.CreateArticleCommentRequestObject,
) (api.CreateArticleCommentResponseObject, error) {
	comment, err := h.Comments.Add(ctx, callerFrom(ctx), request.Slug, request.Body.Comment.Body)
	if err != nil {
		return nil, err
	}
	return api.CreateArticleComment201JSONResponse{
		Body: api.CommentEnvelope{Comment: commentOf(comment)},
		Headers: api.CreateArticleComment201ResponseHeaders{
			Location: located("/articles/" + request.Slug + "/comments/" + strconv.FormatInt(comment.ID, 10)),
		},
	}, nil
}

// DeleteArticleComment implements DELETE /articles/{slug}/comments/{commentId}.
func (h *handlers) DeleteArticleComment(
	ctx context.Context, request api.DeleteArticleCommentRequestObject,
) (api.DeleteArticleCommentResponseObject, error) {
	if err := h.Comments.Delete(ctx, callerFrom(ctx), request.Slug, request.CommentId); err != nil {
		return nil, err
	}
	return api.DeleteArticleComment204Response{}, nil
}
