package httpapi

import (
	"context"

	"conduit/api"
	"conduit/internal/blog"
	"conduit/internal/identity"
)

// GetArticles implements GET /articles.
func (h *handlers) GetArticles(
	ctx context.Context, request api.GetArticlesRequestObject,
) (api.GetArticlesResponseObject, error) {
	params := request.Params
	page, err := pageOf(params.Limit, params.Offset, params.Cursor)
	if err != nil {
		return nil, err
	}
	filter := blog.ArticleFilter{
		Tag: orZero(params.Tag), Author: identity.Fold(orZero(params.Author)),
		FavoritedBy: identity.Fold(orZero(params.Favorited)),
	}
	listed, err := unlessKnown(ctx, func(detail blog.Detail) (blog.ArticlePage, error) {
		page.Detail, page.Room = detail, roomForSummaries(ctx)
		return h.Articles.List(ctx, callerFrom(ctx), filter, page)
	})
	if err != nil {
		return nil, err
	}
	return api.GetArticles200JSONResponse(articleList(listed)), nil
}

// roomForSummaries takes memory for a page of articles.
func roomForSummaries(ctx context.Context) blog.Room {
	return func(rows, _ int) error { return roomForAnswer(ctx, int64(rows)*summaryMemory) }
}

// GetArticlesFeed implements GET /articles/feed.
func (h *handlers) GetArticlesFeed(
	ctx context.Context, request api.GetArticlesFeedRequestObject,
) (api.GetArticlesFeedResponseObject, error) {
	page, err := pageOf(request.Params.Limit, request.Params.Offset, request.Params.Cursor)
	if err != nil {
		return nil, err
	}
	feed, err := unlessKnown(ctx, func(detail blog.Detail) (blog.ArticlePage, error) {
		page.Detail, page.Room = detail, roomForSummaries(ctx)
		return h.Articles.Feed(ctx, callerFrom(ctx), page)
	})
	if err != nil {
		return nil, err
	}
	return api.GetArticlesFeed200JSONResponse(articleList(feed)), nil
}

// CreateArticle implements POST /articles.
func (h *handlers) CreateArticle(
	ctx context.Context, request api.CreateArticleRequestObject,
) (api.CreateArticleResponseObject, error) {
	input := request.Body.Article
	article, err := h.Articles.Publish(ctx, callerFrom(ctx), blog.Draft{
		Title: input.Title, Description: input.Description, Body: input.Body, TagList: input.TagList,
	})
	if err != nil {
		return nil, err
	}
	return api.CreateArticle201JSONResponse{
		Body:    articleEnvelope(article),
		Headers: api.CreateArticle201ResponseHeaders{Location: located("/articles/" + article.Slug)},
	}, nil
}

// GetArticle implements GET /articles/{slug}.
func (h *handlers) GetArticle(
	ctx context.Context, request api.GetArticleRequestObject,
) (api.GetArticleResponseObject, error) {
	article, err := unlessKnown(ctx, func(detail blog.Detail) (blog.ArticleView, error) {
		if detail == blog.Whole {
			if err := roomForAnswer(ctx, articleMemory); err != nil {
				return blog.ArticleView{}, err
			}
		}
		return h.Articles.Article(ctx, callerFrom(ctx), request.Slug, detail)
	})
	if err != nil {
		return nil, err
	}
	return api.GetArticle200JSONResponse(articleEnvelope(article)), nil
}

// UpdateArticle implements PUT /articles/{slug}.
func (h *handlers) UpdateArticle(
	ctx context.Context, request api.UpdateArticleRequestObject,
) (api.UpdateArticleResponseObject, error) {
	if err := roomForAnswer(ctx, articleMemory); err != nil {
		return nil, err
	}
	input := request.Body.Article
	article, err := h.Articles.Update(ctx, callerFrom(ctx), request.Slug, blog.ArticleChanges{
		Title: input.Title, Description: input.Description, Body: input.Body, TagList: input.TagList,
	})
	if err != nil {
		return nil, err
	}
	return api.UpdateArticle200JSONResponse(articleEnvelope(article)), nil
}

// DeleteArticle implements DELETE /articles/{slug}.
func (h *handlers) DeleteArticle(
	ctx context.Context, request api.DeleteArticleRequestObject,
) (api.DeleteArticleResponseObject, error) {
	if err := h.Articles.Delete(ctx, callerFrom(ctx), request.Slug); err != nil {
		return nil, err
	}
	return api.DeleteArticle204Response{}, nil
}

// CreateArticleFavorite implements POST /articles/{slug}/favorite.
func (h *handlers) CreateArticleFavorite(
	ctx context.Context, request api.CreateArticleFavoriteRequestObject,
) (api.CreateArticleFavoriteResponseObject, error) {
	if err := roomForAnswer(ctx, articleMemory); err != nil {
		return nil, err
	}
	article, err := h.Articles.Favorite(ctx, callerFrom(ctx), request.Slug)
	if err != nil {
		return nil, err
	}
	return api.CreateArticleFavorite200JSONResponse(articleEnvelope(article)), nil
}

// DeleteArticleFavorite implements DELETE /articles/{slug}/favorite.
func (h *handlers) DeleteArticleFavorite(
	ctx context.Context, request api.DeleteArticleFavoriteRequestObject,
) (api.DeleteArticleFavoriteResponseObject, error) {
	if err := roomForAnswer(ctx, articleMemory); err != nil {
		return nil, err
	}
	article, err := h.Articles.Unfavorite(ctx, callerFrom(ctx), request.Slug)
	if err != nil {
		return nil, err
	}
	return api.DeleteArticleFavorite200JSONResponse(articleEnvelope(article)), nil
}

// GetTags implements GET /tags.
func (h *handlers) GetTags(ctx context.Context, _ api.GetTagsRequestObject) (api.GetTagsResponseObject, error) {
	tags, err := h.Articles.Tags(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetTags200JSONResponse{Tags: orEmpty(tags)}, nil
}
