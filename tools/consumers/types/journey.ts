import { createConduitClient, UnexpectedResponseError, type Article, type Tokens } from '@conduit/client'

const conduit = createConduitClient({ baseUrl: 'http://127.0.0.1/api', onTokens: (tokens: Tokens) => void tokens.token })

export async function title(slug: string): Promise<string> {
  const result = await conduit.GET('/articles/{slug}', { params: { path: { slug } } })
  if (result.ok) {
    const article: Article = result.data.article
    return article.title
  }
  if (result.status === 404) {
    return result.error.errors.article?.[0] ?? ''
  }
  throw new UnexpectedResponseError(slug, result.response, null)
}

// @ts-expect-error a path that is not in the contract
void conduit.GET('/nothing')
