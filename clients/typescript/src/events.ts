import { takeApart, type Message } from './eventStream.js'
import type { ErrorEnvelope, UserEvent } from './schema.js'
import { report, type Session } from './tokens.js'

export interface EventsOptions {
  /** Ends the events at once: the loop over them throws its reason, as a call does. */
  signal?: AbortSignal | undefined
  /** Where to go on: the {@link UserEvents.lastEventId} that an app has kept. Without one the events begin now. */
  lastEventId?: string | undefined
  /**
   * Told each time the stream opens (`true`), and when it was lost or could not be had, and why (`false`). It is asked
   * for again by itself.
   */
  onConnection?: ((open: boolean, reason?: unknown) => void) | undefined
}

/** What happens, for one loop over it. The loop ends when the session does. */
export interface UserEvents extends AsyncIterableIterator<UserEvent> {
  /** Up to where the events go that the loop was given. */
  readonly lastEventId: string | undefined
}

/** The server does not give events to this caller, and to ask again would not help: 401 while nobody is logged in. */
export class EventsRefusedError extends Error {
  override readonly name = 'EventsRefusedError'
  readonly status: number
  readonly error: ErrorEnvelope
  readonly response: Response

  constructor(response: Response, error: ErrorEnvelope) {
    super(`the server refuses events with ${response.status}: ${JSON.stringify(error.errors)}`)
    this.status = response.status
    this.error = error
    this.response = response
  }
}

/** What the client does for its events. */
interface Connection {
  /** Asks for the stream, with a token if there is one, and with a newer one if that is refused. */
  open: (headers: Record<string, string>, signal: AbortSignal) => Promise<Response>
  /** The session of the tokens that are used now. Another session is another object. */
  session: () => Session | undefined
  /** What an answer without events means. */
  errorOf: (response: Response) => Promise<Error>
}

/** How long nothing may come. The server gives a sign of life every 15 seconds. */
const silence = 45_000
/** What is waited at most before the next try, unless the server wants it longer. */
const longestWait = 30_000
/** A stream that was open for so long was a good one, though nothing happened. */
const steady = 10_000

/**
 * Follows the events of the session that is logged in when the loop begins. The stream is read as fast as the loop
 * takes events, and no faster. After it was lost it goes on behind the last event that the loop was given.
 */
export function followEvents(connection: Connection, options: EventsOptions = {}): UserEvents {
  const { signal, onConnection } = options
  const loopLeft = new Error('the loop was left')
  const closing = new AbortController()
  let lastEventId = options.lastEventId
  let retry = 2000
  let failures = 0

  /** Gives the events of one stream. Returns why the server ended it, and throws if it did not. */
  async function* oneStream(
    attempt: Attempt,
    ownId?: string,
  ): AsyncGenerator<UserEvent, 'reconnect' | 'session-ended'> {
    const headers = { Accept: 'text/event-stream', ...(lastEventId !== undefined && { 'Last-Event-ID': lastEventId }) }
    const response = await attempt.within(connection.open(headers, attempt.signal))
    if (!response.ok || !/^text\/event-stream\b/i.test(response.headers.get('Content-Type') ?? '')) {
      throw new Unopened(response, await attempt.within(connection.errorOf(response)))
    }
    report(() => onConnection?.(true))
    for await (const message of messagesOf(response, attempt)) {
      retry = message.retry ?? retry
      const event = eventOf(message)
      if (event?.type === 'reconnect') {
        return event.type
      }
      lastEventId = message.id ?? lastEventId
      if (event) {
        failures = 0
        yield event
        attempt.signal.throwIfAborted()
        if (event.type === 'session-ended' && event.session.id === ownId) {
          return event.type
        }
      }
    }
    throw new Error('the stream broke off')
  }

  async function* follow(): AsyncGenerator<UserEvent, undefined> {
    const mine = connection.session()
    const life = bounded(closing.signal, ...(mine ? [mine.over.signal] : []))
    // Another session's events would be somebody else's.
    while (connection.session() === mine) {
      closing.signal.throwIfAborted()
      const attempt = bounded(life.signal)
      const began = performance.now()
      let lost: unknown // stays undefined where the server asked to connect again
      try {
        if ((yield* oneStream(attempt, mine?.tokens.sessionId)) === 'session-ended') {
          return
        }
      } catch (error) {
        closing.signal.throwIfAborted()
        lost = error
      } finally {
        attempt.end()
      }
      const unopened = lost instanceof Unopened ? lost : undefined
      if (connection.session() !== mine) {
        return
      }
      if (unopened?.isFinal(mine !== undefined)) {
        throw unopened.cause
      }
      report(() => onConnection?.(false, unopened?.cause ?? lost))
      failures = performance.now() - began > steady ? 1 : failures + 1
      // A server that stops has others beside it, and a token that expires a successor: there is nothing to wait for.
      const usual = lost === undefined && failures === 1 ? 0 : backoff(retry, failures)
      await pause(Math.max(usual, unopened?.wait ?? 0), life.signal)
    }
  }

  const abort = () => closing.abort(signal!.reason)
  const events = follow()
  return {
    get lastEventId() {
      return lastEventId
    },
    [Symbol.asyncIterator]() {
      return this
    },
    async next() {
      signal?.addEventListener('abort', abort)
      if (signal?.aborted) {
        abort()
      }
      try {
        const next = await events.next()
        if (next.done) {
          signal?.removeEventListener('abort', abort)
        }
        return next
      } catch (error) {
        signal?.removeEventListener('abort', abort)
        if (error === loopLeft) {
          return { done: true, value: undefined }
        }
        throw error
      }
    },
    async return() {
      signal?.removeEventListener('abort', abort)
      closing.abort(loopLeft) // Who waits for the next event waits no longer.
      await events.return(undefined)
      return { done: true, value: undefined }
    },
  }
}

/** An answer that is no stream. */
class Unopened extends Error {
  readonly status: number
  /** What the server wants to have waited, in milliseconds. */
  readonly wait: number

  constructor(response: Response, cause: Error) {
    super(cause.message, { cause })
    this.status = response.status
    this.wait = 1000 * (Number(response.headers.get('Retry-After')) || 0)
  }

  /** Tells whether asking again would be answered in the same way. With tokens, 401 says that no newer ones came. */
  isFinal(hasTokens: boolean): boolean {
    if (this.status === 401) {
      return !hasTokens || !(this.cause instanceof EventsRefusedError)
    }
    return this.status < 500 && this.status !== 408 && this.status !== 429
  }
}

interface Attempt {
  readonly signal: AbortSignal
  /** Waits for what has to come before the silence is too long, and no longer than the attempt lasts. */
  within: <T>(promise: Promise<T>) => Promise<T>
  end: () => void
}

/** An attempt that ends with any of the signals. AbortSignal.any would do it in browsers since 2024. */
function bounded(...signals: AbortSignal[]): Attempt {
  const own = new AbortController()
  const abort = () => own.abort(signals.find(({ aborted }) => aborted)?.reason)
  for (const signal of signals) {
    signal.addEventListener('abort', abort)
  }
  if (signals.some(({ aborted }) => aborted)) {
    abort()
  }
  return {
    signal: own.signal,
    within: (promise) =>
      new Promise((resolve, reject) => {
        const stop = () => reject(own.signal.reason)
        const timer = setTimeout(() => own.abort(new Error('the server has been silent for too long')), silence)
        own.signal.addEventListener('abort', stop)
        if (own.signal.aborted) {
          stop()
        }
        promise.then(resolve, reject).finally(() => {
          clearTimeout(timer)
          own.signal.removeEventListener('abort', stop)
        })
      }),
    end() {
      for (const signal of signals) {
        signal.removeEventListener('abort', abort)
      }
      own.abort()
    },
  }
}

async function* messagesOf(response: Response, attempt: Attempt): AsyncGenerator<Message, void> {
  const reader = response.body!.getReader()
  const take = takeApart()
  try {
    for (;;) {
      const { done, value } = await attempt.within(reader.read())
      if (done) {
        return
      }
      yield* take(value)
    }
  } finally {
    reader.cancel().catch(() => {}) // It may have broken off already.
  }
}

function eventOf({ data }: Message): UserEvent | undefined {
  return data === undefined ? undefined : (JSON.parse(data) as UserEvent)
}

/** Waits longer from one failure to the next, and never as long as others do who were lost at the same time. */
function backoff(retry: number, failures: number): number {
  return Math.min(longestWait, Math.max(retry, 50) * 2 ** (failures - 1)) * (0.5 + Math.random() / 2)
}

/** Waits for a time, or until the signal. */
function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      resolve()
    }
    const timer = setTimeout(stop, time)
    signal.addEventListener('abort', stop)
    if (signal.aborted) {
      stop()
    }
  })
}
