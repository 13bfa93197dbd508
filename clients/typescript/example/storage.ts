import type { Tokens } from '@conduit/client'

const key = 'conduit.tokens'

/** The tokens that were kept, or null if there are none or something else is there. */
export function keptTokens(): Tokens | null {
  try {
    const tokens: Tokens | null = JSON.parse(localStorage.getItem(key) ?? 'null')
    return typeof tokens?.token === 'string' && tokens.token !== '' ? tokens : null
  } catch {
    return null
  }
}

export function keepTokens(tokens: Tokens) {
  localStorage.setItem(key, JSON.stringify(tokens))
}

export function forgetTokens() {
  localStorage.removeItem(key)
}

/** Tells the tokens that another tab keeps from now on, or null when it forgot them. */
export function onTokensOfOtherTab(listener: (tokens: Tokens | null) => void) {
  addEventListener('storage', (event) => {
    if (event.key === key || event.key === null) {
      listener(keptTokens())
    }
  })
  // A page that comes back from the back/forward cache has heard of nothing meanwhile.
  addEventListener('pageshow', (event) => {
    if (event.persisted) {
      listener(keptTokens())
    }
  })
}
