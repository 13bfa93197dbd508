type Pass = () => Promise<Response>

/**
 * A `fetch` that goes to the live server and notes what was sent as `METHOD /path`. A test can give it something to do
 * instead of, before or after passing a request on.
 */
export function wire(meddle: (request: Request, pass: Pass) => Promise<Response> = (_, pass) => pass()) {
  const sent: { line: string; authorization: string | null }[] = []
  return {
    sent,
    /** How many requests of a kind were sent. */
    count: (line: string) => sent.filter((request) => request.line === line).length,
    fetch: (request: Request) => {
      const line = `${request.method} ${new URL(request.url).pathname.replace(/^\/api/, '')}`
      sent.push({ line, authorization: request.headers.get('Authorization') })
      return meddle(request, () => fetch(request))
    },
  }
}

export const refreshing = 'POST /sessions/refresh'

export const isRefresh = (request: Request) => request.url.endsWith('/sessions/refresh')

/** A promise and what settles it, to let tests decide the order of events. */
export function gate() {
  let open!: () => void
  const opened = new Promise<void>((resolve) => (open = resolve))
  return { open, opened }
}
