package httpapi

import (
	"context"
	"strconv"

	"conduit/api"
)

// GetArticleComments implements GET /articles/{slug}/comments.
func (h *handlers) GetArticleComments(ctx context.Context, request api.GetArticleCommentsRequestObject) (api.GetArticleCommentsResponseObject, error) {
	comments, err := h.Comments.List(ctx, callerFrom(ctx), request.Slug)
	if err != nil {
		return nil, err
	}
	list := make([]api.Comment, len(comments))
	for i, comment := range comments {
		list[i] = commentOf(comment)
	}
	return api.GetArticleComments200JSONResponse{Comments: list}, nil
}

// CreateArticleComment implements POST /articles/{slug}/comments.
func (h *handlers) CreateArticleComment(ctx context.Context, request api.CreateArticleCommentRequestObject) (api.CreateArticleCommentResponseObject, error) {
	comment, err := h.Comments.Add(ctx, callerFrom(ctx), request.Slug, request.Body.Comment.Body)
	if err != nil {
		return nil, err
	}
	return api.CreateArticleComment201JSONResponse{
		Body: api.CommentEnvelope{Comment: commentOf(comment)},
		Headers: api.CreateArticleComment201ResponseHeaders{
			Location: base + "/articles/" + request.Slug + "/comments/" + strconv.FormatInt(comment.ID, 10),
		},
	}, nil
}

// DeleteArticleComment implements DELETE /articles/{slug}/comments/{commentId}.
func (h *handlers) DeleteArticleComment(ctx context.Context, request api.DeleteArticleCommentRequestObject) (api.DeleteArticleCommentResponseObject, error) {
	if err := h.Comments.Delete(ctx, callerFrom(ctx), request.Slug, request.CommentId); err != nil {
		return nil, err
	}
	return api.DeleteArticleComment204Response{}, nil
}
