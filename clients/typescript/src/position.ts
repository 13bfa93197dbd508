const header = 'Conduit-Position'

/**
 * Makes reads show what was changed before, where copies of the database answer them: the answer to a change says what
 * reads have to show, and reads say it back. Without replicas there is no such header.
 */
export function keepPosition(fetch: (request: Request) => Promise<Response>): (request: Request) => Promise<Response> {
  let latest: string | undefined

  return async (request) => {
    if (request.method === 'GET' || request.method === 'HEAD') {
      if (latest && !request.headers.has(header)) {
        request.headers.set(header, latest)
      }
      return fetch(request)
    }
    let response: Response | undefined
    try {
      response = await fetch(request)
      return response
    } finally {
      const position = response?.headers.get(header)
      if (position) {
        latest = latest && latest > position ? latest : position // Later ones come later as text.
      } else if (!response || response.ok || response.status >= 500) {
        latest = undefined // It may have changed something all the same. The server finds out by itself, at some cost.
      }
    }
  }
}
