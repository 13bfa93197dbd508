/** How a client tries again by itself. */
export interface RetryOptions {
  /** How often a request is sent at most. Default: 4. */
  attempts?: number | undefined
  /**
   * For how many milliseconds after the first try a request is sent again. Where the server asks for a longer wait
   * (`Retry-After`), the call gives that answer at once. Default: 10,000.
   */
  maxWait?: number | undefined
}

type Fetch = (request: Request) => Promise<Response>

/** The header by which the server knows that a request is the same one again. */
export const keyHeader = 'Idempotency-Key'

/** A key that nobody else has. `crypto.randomUUID` would be there on `https:` pages only. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/**
 * Sends requests again whose connection broke, and those that were answered with 429 or with 502 to 504. A change is the
 * same one for the server each time, by its key. The last outcome is the outcome: whether an earlier try was carried out
 * after all is known to the server alone.
 */
export function retrying(fetch: Fetch, { attempts = 4, maxWait = 10_000 }: RetryOptions = {}): Fetch {
  return async (request) => {
    const deadline = performance.now() + maxWait
    for (let tried = 1; ; tried++) {
      const [response, error] = await attempt(request, fetch)
      const wait = response ? waitFor(response, tried) : error instanceof TypeError ? backoff(tried) : undefined
      if (tried >= attempts || wait === undefined || performance.now() + wait > deadline) {
        if (response) {
          return response
        }
        throw error
      }
      await sleep(wait, request.signal)
    }
  }
}

/**
 * Sends a request once. An answer that breaks off is none, so it is read to its end, unless it has none. That is done
 * with a copy: in a `load` of SvelteKit, whoever looks at `body` takes it.
 */
async function attempt(request: Request, fetch: Fetch): Promise<[Response, undefined] | [undefined, unknown]> {
  try {
    const response = await fetch(request.clone()) // A body can be sent only once.
    if (!response.headers.get('Content-Type')?.startsWith('text/event-stream')) {
      await response.clone().arrayBuffer()
    }
    return [response, undefined]
  } catch (error) {
    return [undefined, error]
  }
}

/** How long to wait before the request is sent again, in milliseconds; undefined if the answer is one to keep. */
function waitFor(response: Response, tried: number): number | undefined {
  if (![429, 502, 503, 504].includes(response.status)) {
    return undefined
  }
  const asked = retryAfter(response.headers)
  if (asked === undefined) {
    return response.status === 429 ? undefined : backoff(tried)
  }
  return asked + Math.random() * 250 // Not all at once, and never earlier than was asked for.
}

/** What `Retry-After` asks for, in milliseconds: it has seconds or a date (RFC 9110, section 10.2.3). */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get('Retry-After')?.trim()
  if (!value) {
    return undefined
  }
  if (/^\d+$/.test(value)) {
    return Number(value) * 1000
  }
  const now = Date.parse(headers.get('Date') ?? '') || Date.now() // The clocks of both may differ.
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/** Twice as long each time, up to two seconds, and half of it by chance. */
function backoff(tried: number): number {
  return Math.min(2_000, 100 * 2 ** tried) * (0.5 + Math.random() / 2)
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, milliseconds)
    function abort() {
      clearTimeout(timer)
      reject(signal.reason)
    }
    signal.addEventListener('abort', abort, { once: true })
  })
}
