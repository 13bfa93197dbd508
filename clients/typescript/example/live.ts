import type { ConduitClient, UserEvent } from '@conduit/client'

import { attempt, element, notice } from './page.js'

const section = element('live')
const list = element('happened')
const most = 20

/** The section that lists what happens, newest first, while somebody is logged in. */
export function liveSection(conduit: ConduitClient) {
  let followed: string | undefined

  /** Follows the session that is logged in now, unless it is followed already. */
  function follow() {
    section.hidden = !conduit.tokens.current
    const session = conduit.tokens.current?.sessionId
    if (session === followed) {
      return
    }
    followed = session
    list.replaceChildren()
    if (session !== undefined) {
      void attempt(() => tell(session))
    }
  }

  async function tell(session: string) {
    for await (const event of conduit.events({ onConnection: (open) => (section.dataset.open = String(open)) })) {
      const text = textOf(event)
      if (text === undefined) {
        notice.textContent = 'Something may have happened meanwhile. Reload the page to see it.'
      } else {
        const item = document.createElement('li')
        item.textContent = text
        list.prepend(item)
        list.children[most]?.remove()
      }
    }
    if (conduit.tokens.current?.sessionId === session) {
      await conduit.GET('/user') // It has been ended elsewhere. The next call finds that out, and onSignedOut is told.
    }
  }

  return { follow }
}

function textOf(event: UserEvent): string | undefined {
  switch (event.type) {
    case 'article':
      return `${event.article.author.username} published “${event.article.title}”.`
    case 'comment':
      return `${event.comment.author.username} commented on “${event.article.title}”.`
    case 'login':
      return `Somebody logged in to your account from ${event.session.ipAddress}.`
    case 'session-ended':
      return `A session of yours has ended: ${event.session.reason}.`
    default:
      return undefined
  }
}
