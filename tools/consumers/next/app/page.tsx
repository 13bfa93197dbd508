import { createConduitClient } from '@conduit/client'

export const dynamic = 'force-dynamic'

export default async function Page() {
  const conduit = createConduitClient({ baseUrl: process.env.CONDUIT_API! })
  const result = await conduit.GET('/articles', { params: { query: { limit: 3 } } })
  return <main>{result.ok ? `articles: ${result.data.articles.length}` : `status ${result.status}`}</main>
}
