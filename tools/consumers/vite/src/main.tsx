import { createConduitClient } from '@conduit/client'
import { QueryClient, QueryClientProvider, useSuspenseQuery } from '@tanstack/react-query'
import { Suspense } from 'react'
import { renderToReadableStream } from 'react-dom/server'

const conduit = createConduitClient({ baseUrl: process.env.CONDUIT_API! })

function Tags() {
  const { data: tags } = useSuspenseQuery({
    queryKey: ['tags'],
    queryFn: async ({ signal }) => {
      const result = await conduit.GET('/tags', { signal })
      if (!result.ok) {
        throw new Error(Object.values(result.error ?? {}).join())
      }
      return result.data.tags
    },
  })
  return <ul title="tags">{tags.map((tag) => <li key={tag}>{tag}</li>)}</ul>
}

export async function render(): Promise<string> {
  const stream = await renderToReadableStream(
    <QueryClientProvider client={new QueryClient()}>
      <Suspense>
        <Tags />
      </Suspense>
    </QueryClientProvider>,
  )
  await stream.allReady
  return new Response(stream).text()
}
