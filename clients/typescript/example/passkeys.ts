import {
  addPasskey,
  hasPasskeys,
  proveWithPasskey,
  type ConduitClient,
  type Errors,
  type Passkey,
} from '@conduit/client'

import { attempt, element, messages, notice, refusedByUser, showErrors } from './page.js'

const section = element('passkeys')
const list = element('passkey-list')
const add = element<HTMLButtonElement>('add-passkey')
const proof = element<HTMLFormElement>('proof')

/** The section in which people see, add and remove their passkeys. */
export function passkeySection(conduit: ConduitClient) {
  async function show() {
    section.hidden = !conduit.tokens.current
    proof.hidden = true
    add.hidden = !hasPasskeys()
    if (section.hidden) {
      return
    }
    const result = await conduit.GET('/user/passkeys')
    if (result.ok) {
      list.replaceChildren(...result.data.passkeys.map(item))
    } else if (result.status !== 401) {
      notice.textContent = messages(result.error.errors)
    }
  }

  function item(passkey: Passkey) {
    const entry = document.createElement('li')
    const remove = document.createElement('button')
    remove.type = 'button'
    remove.textContent = 'Remove'
    remove.setAttribute('aria-label', `Remove ${passkey.name}`)
    remove.addEventListener('click', () =>
      attempt(async () => {
        const path = { passkeyId: passkey.id }
        const result = await conduit.DELETE('/user/passkeys/{passkeyId}', { params: { path } })
        await done(result.ok ? undefined : result.error.errors)
      }),
    )
    entry.append(passkey.name, ' ', remove)
    return entry
  }

  /** Shows what has come of a change. The server may want to know first who is asking. */
  async function done(errors: Errors | undefined) {
    await show()
    notice.textContent = messages(errors)
    if (errors?.proof) {
      notice.textContent = 'Show that it is you, and try again.'
      proof.hidden = false
      element('proof-password').focus()
    }
  }

  add.addEventListener('click', () =>
    attempt(async () => {
      try {
        const result = await addPasskey(conduit, deviceName())
        await done(result.ok ? undefined : result.error.errors)
      } catch (error) {
        refusedByUser(error)
      }
    }),
  )

  proof.addEventListener('submit', (event) => {
    event.preventDefault()
    void attempt(async () => {
      const fields = new FormData(proof)
      const given = { password: String(fields.get('password')), code: String(fields.get('code')) }
      const result = await conduit.POST('/user/proofs', { body: { proof: given } })
      showErrors(proof, result.ok ? {} : result.error.errors)
      if (result.ok) {
        proof.reset()
        await done(undefined)
      }
    })
  })

  element('passkey-proof').addEventListener('click', () =>
    attempt(async () => {
      try {
        const result = await proveWithPasskey(conduit)
        await done(result.ok ? undefined : result.error.errors)
      } catch (error) {
        refusedByUser(error)
      }
    }),
  )

  return { show }
}

/** What people may call the passkey of this device. */
function deviceName() {
  const system = /Android|iPhone|iPad|Windows|Mac|Linux/.exec(navigator.userAgent)
  return system ? `Passkey on ${system[0]}` : 'Passkey'
}
