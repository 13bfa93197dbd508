import { createConduitClient } from '@conduit/client'
import { PUBLIC_CONDUIT_API } from '$env/static/public'

/** Universal: runs on the server, and again in the browser, with SvelteKit's own fetch. */
export async function load({ fetch }) {
  const conduit = createConduitClient({ baseUrl: PUBLIC_CONDUIT_API, token: 'not.a.token', fetch })
  const tags = await conduit.GET('/tags')
  const user = await conduit.GET('/user')
  return { tags: tags.ok ? tags.data.tags.length : tags.status, user: user.status }
}
