import {
  createConduitClient,
  hasPasskeys,
  logInWithPasskey,
  signWithPasskey,
  type ArticleSummary,
  type Challenge,
  type SessionTokens,
} from '@conduit/client'

import { liveSection } from './live.js'
import { attempt, element, messages, notice, refusedByUser, showErrors } from './page.js'
import { passkeySection } from './passkeys.js'
import { forgetTokens, keepTokens, keptTokens, onTokensOfOtherTab } from './storage.js'

const pageSize = 5

const conduit = createConduitClient({
  // Set when the page is built. Taken from the page's address it would let a link send somebody's tokens anywhere.
  baseUrl: import.meta.env.VITE_CONDUIT_API ?? 'http://127.0.0.1:8080/api',
  ...keptTokens(),
  onTokens: keepTokens,
  onSignedOut() {
    forgetTokens()
    void show('You have been logged out.')
  },
})

const account = element('account')
const articles = element('articles')
const login = element<HTMLFormElement>('login')
const logout = element<HTMLButtonElement>('logout')
const newer = element<HTMLButtonElement>('newer')
const older = element<HTMLButtonElement>('older')
const passkeyLogin = element<HTMLButtonElement>('passkey-login')
const live = liveSection(conduit)
const passkeys = passkeySection(conduit)
const secondFactor = element('second-factor')
const template = element<HTMLTemplateElement>('article')

/** A login that still needs a second factor. */
let challenge: Challenge | undefined
/** The cursors of the pages from the second to the present one. */
let cursors: string[] = []
let nextCursor: string | null = null

/** Shows everything anew for whoever is logged in now. */
function show(text = '') {
  notice.textContent = text
  live.follow()
  return attempt(async () => {
    await Promise.all([showAccount(), passkeys.show(), showArticles([])])
  })
}

async function showAccount() {
  account.hidden = !conduit.tokens.current
  login.hidden = !account.hidden
  passkeyLogin.hidden = !hasPasskeys()
  if (account.hidden) {
    return
  }
  const result = await conduit.GET('/user')
  if (result.ok) {
    element('username').textContent = result.data.user.username
  } else if (result.status !== 401) {
    notice.textContent = messages(result.error.errors) // 401 is dealt with by onSignedOut.
  }
}

/** Goes to the page to which these cursors lead, if it can be had. */
async function showArticles(wanted: string[]) {
  newer.disabled = older.disabled = true
  try {
    const cursor = wanted.at(-1)
    const result = await conduit.GET('/articles', {
      params: { query: { limit: pageSize, ...(cursor === undefined ? {} : { cursor }) } },
    })
    if (result.ok) {
      cursors = wanted
      nextCursor = result.data.nextCursor
      articles.replaceChildren(...result.data.articles.map(articleItem))
    } else {
      notice.textContent = messages(result.error?.errors)
    }
  } finally {
    newer.disabled = cursors.length === 0
    older.disabled = nextCursor === null
  }
}

/** Everything in it that people wrote goes in as text and never as HTML. */
function articleItem(article: ArticleSummary): HTMLElement {
  const item = (template.content.cloneNode(true) as DocumentFragment).firstElementChild as HTMLElement
  const part = <E extends HTMLElement>(selector: string) => item.querySelector<E>(selector)!
  part('h3').textContent = article.title
  part('.author').textContent = article.author.username
  part<HTMLTimeElement>('time').dateTime = article.createdAt
  part('time').textContent = new Date(article.createdAt).toLocaleDateString()
  part('.description').textContent = article.description
  part('.count').textContent = String(article.favoritesCount)

  const favorite = part<HTMLButtonElement>('.favorite')
  favorite.disabled = !conduit.tokens.current
  favorite.ariaPressed = String(article.favorited)
  favorite.addEventListener('click', () =>
    attempt(async () => {
      const call = article.favorited ? conduit.DELETE : conduit.POST
      const result = await call('/articles/{slug}/favorite', { params: { path: { slug: article.slug } } })
      if (result.ok) {
        const next = articleItem(result.data.article)
        item.replaceWith(next)
        next.querySelector<HTMLButtonElement>('.favorite')!.focus()
      } else if (result.status !== 401) {
        notice.textContent = messages(result.error.errors)
      }
    }),
  )
  return item
}

/** Shows the field for a code while a challenge waits for one. */
function askForCode(missing: Challenge | undefined) {
  challenge = missing
  secondFactor.hidden = missing === undefined
  if (missing !== undefined) {
    element('code').focus()
  }
}

async function loggedIn(session: SessionTokens) {
  askForCode(undefined)
  login.reset()
  conduit.tokens.set(session)
  keepTokens(conduit.tokens.current!)
  await show()
}

/** Sends what was typed: the password, and, if the server asked for it, the code. */
function logIn(fields: FormData) {
  const text = (name: string) => String(fields.get(name))
  if (challenge === undefined) {
    const session = { email: text('email'), password: text('password') }
    return conduit.POST('/sessions', { body: { session } })
  }
  return conduit.POST('/sessions/challenge', { body: { challenge: { token: challenge.token, code: text('code') } } })
}

login.addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(async () => {
    const fields = new FormData(login)
    const result = await logIn(fields)
    if (!result.ok) {
      if (result.status === 401) {
        askForCode(undefined) // the password is wrong, or the challenge is over
      }
      showErrors(login, result.error.errors)
      return
    }
    showErrors(login, {})
    if (result.status === 202) {
      askForCode(result.data.challenge)
      return
    }
    await loggedIn(result.data.session)
  })
})

/** Logs in with a passkey, or answers with it what is still missing beside the password. */
async function logInByPasskey() {
  if (challenge?.publicKey === undefined) {
    return logInWithPasskey(conduit)
  }
  const credential = await signWithPasskey(challenge.publicKey)
  return conduit.POST('/sessions/challenge', { body: { challenge: { token: challenge.token, credential } } })
}

passkeyLogin.addEventListener('click', () =>
  attempt(async () => {
    try {
      const result = await logInByPasskey()
      if (result.ok) {
        await loggedIn(result.data.session)
      } else {
        showErrors(login, result.error.errors)
      }
    } catch (error) {
      refusedByUser(error)
    }
  }),
)

// The link in the mail leads to the server's own page, or to where --mail-link-url says.
element('forgot').addEventListener('click', () =>
  attempt(async () => {
    const passwordReset = { email: String(new FormData(login).get('email')) }
    const result = await conduit.POST('/password-resets', { body: { passwordReset } })
    showErrors(login, result.ok ? {} : result.error.errors)
    if (result.ok) {
      // Whether there is an account is nobody else's business.
      notice.textContent = 'If this email has an account, a mail with a link is on its way.'
    }
  }),
)

logout.addEventListener('click', () =>
  attempt(async () => {
    const result = await conduit.POST('/users/logout')
    if (!result.ok && result.status !== 401) {
      notice.textContent = messages(result.error.errors)
      return
    }
    conduit.tokens.clear()
    forgetTokens()
    await show()
  }),
)

newer.addEventListener('click', () => attempt(() => showArticles(cursors.slice(0, -1))))

older.addEventListener('click', () => attempt(() => showArticles([...cursors, nextCursor!])))

onTokensOfOtherTab((tokens) => {
  const before = conduit.tokens.current?.sessionId
  if (tokens) {
    conduit.tokens.set(tokens)
  } else {
    conduit.tokens.clear()
  }
  if (conduit.tokens.current?.sessionId !== before) {
    void show()
  }
})

void show()
