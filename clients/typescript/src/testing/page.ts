import type { BrowserContext, Route } from '@playwright/test'

import type { LoginOptions, Person, RegisterOptions } from './people.js'
import type { World } from './world.js'

/**
 * What a front end keeps of a login: gives the entries of its `localStorage`. One that keeps it elsewhere puts it there
 * by itself, for instance by `context.addCookies`, and gives nothing.
 */
export type KeepSession = (
  person: Person,
  context: BrowserContext,
  origin: string,
) => Record<string, string> | void | Promise<Record<string, string> | void>

/** How a front end comes to its world. */
export interface FrontEnd {
  /**
   * Where the front end takes the API to be: `https://api.example.com/api`, or `/api` below the page's own origin. What
   * its pages ask of it goes to the world instead.
   */
  apiUrl?: string | undefined
  /** The name of a global variable in which the front end finds the base URL of the API, before any of its scripts. */
  apiGlobal?: string | undefined
  /** What it keeps of a login. Without this, `jwtToken` in `localStorage`, as most front ends of RealWorld. */
  keepSession?: KeepSession | undefined
  /** Whether its pages have the world's time. `Date` in them follows `world.clock`. */
  pageClock?: boolean | undefined
}

/** A world that pages use. */
export interface PageWorld extends World {
  /** Logs somebody in and has the front end find them logged in: pages opened from now on, or loaded anew. */
  loginAs(username: string, options?: LoginOptions): Promise<Person>
  /** Makes an account, logs in, and has the front end find them logged in. */
  register(username: string, options?: RegisterOptions): Promise<Person>
  /** Has the pages of another context use this world too. */
  attach(context: BrowserContext): Promise<void>
}

/** Lets pages use a world. `baseURL` is where the front end is. */
export function openToPages(world: World, frontEnd: FrontEnd, baseURL: string | undefined): PageWorld {
  const contexts = new Set<BrowserContext>()
  const keepSession = frontEnd.keepSession ?? (({ token }) => ({ jwtToken: token }))

  async function keep(person: Person): Promise<Person> {
    for (const context of contexts) {
      for (const origin of origins(context, baseURL)) {
        const entries = await keepSession(person, context, origin)
        if (entries && Object.keys(entries).length > 0) {
          await store(context, origin, entries)
        }
      }
    }
    return person
  }

  async function tellTime(context: BrowserContext): Promise<void> {
    const { at, frozen } = await world.state()
    await (frozen ? context.clock.setFixedTime(at) : context.clock.setSystemTime(at))
  }

  const following =
    <Arguments extends unknown[], Answer>(change: (...args: Arguments) => Promise<Answer>) =>
    async (...args: Arguments) => {
      const answer = await change(...args)
      if (frontEnd.pageClock) {
        await Promise.all([...contexts].map(tellTime))
      }
      return answer
    }

  return {
    ...world,
    clock: {
      now: world.clock.now,
      set: following(world.clock.set),
      advance: following(world.clock.advance),
      freeze: following(world.clock.freeze),
      run: following(world.clock.run),
    },
    reset: following(world.reset),
    loginAs: async (username, options) => keep(await world.loginAs(username, options)),
    register: async (username, options) => keep(await world.register(username, options)),
    attach: async (context) => {
      if (contexts.has(context)) {
        return
      }
      contexts.add(context)
      context.once('close', () => contexts.delete(context))
      if (frontEnd.apiUrl !== undefined) {
        await reroute(context, new URL(frontEnd.apiUrl, baseURL).href.replace(/\/+$/, ''), world.baseUrl)
      }
      if (frontEnd.apiGlobal !== undefined) {
        await context.addInitScript(([name, url]) => Object.assign(globalThis, { [name]: url }), [
          frontEnd.apiGlobal,
          world.baseUrl,
        ] as const)
      }
      if (frontEnd.pageClock) {
        await tellTime(context)
      }
    },
  }
}

/** Where the front end's pages are: where it is said to be, and where pages are open. */
function origins(context: BrowserContext, baseURL: string | undefined): Set<string> {
  const urls = [...(baseURL === undefined ? [] : [baseURL]), ...context.pages().map((page) => page.url())]
  const found = new Set(urls.filter((url) => /^https?:/.test(url)).map((url) => new URL(url).origin))
  if (found.size === 0) {
    throw new Error('Nobody knows where the front end is: set "baseURL" in the Playwright configuration.')
  }
  return found
}

/** Puts entries into the `localStorage` of an origin, from a page that holds nothing else. */
async function store(context: BrowserContext, origin: string, entries: Record<string, string>): Promise<void> {
  const page = await context.newPage()
  try {
    await page.route('**', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html>' }))
    await page.goto(origin)
    await page.evaluate((kept) => Object.entries(kept).forEach((entry) => localStorage.setItem(...entry)), entries)
  } finally {
    await page.close()
  }
}

/** Sends requests for one base URL to another one. */
async function reroute(context: BrowserContext, from: string, to: string): Promise<void> {
  const sameProtocol = new URL(from).protocol === new URL(to).protocol
  const isMeant = ({ href }: URL) => href === from || href.startsWith(`${from}/`) || href.startsWith(`${from}?`)
  await context.route(isMeant, async (route) => {
    const url = to + route.request().url().slice(from.length)
    try {
      await (sameProtocol ? route.continue({ url }) : answerFor(route, url))
    } catch {
      // The page that asked has gone meanwhile.
    }
  })
}

/** The browser does not send requests for `https:` to `http:`, so this process does. */
async function answerFor(route: Route, url: string): Promise<void> {
  let response
  try {
    response = await route.fetch({ url, maxRedirects: 0 })
  } catch {
    await route.abort('connectionreset')
    return
  }
  await route.fulfill({ response })
}
