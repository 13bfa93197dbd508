import type { Errors } from '@conduit/client'

export function element<E extends HTMLElement>(id: string): E {
  return document.getElementById(id) as E
}

export const notice = element('notice')

/** Does what somebody asked for, and says so if no answer came. */
export async function attempt(work: () => Promise<void>) {
  try {
    await work()
  } catch (error) {
    notice.textContent = 'The server cannot be reached. Try again.'
    console.warn(error)
  }
}

export const messages = (errors: Errors | undefined) =>
  Object.entries(errors ?? {})
    .flatMap(([field, texts]) => texts.map((text) => `${field} ${text}`))
    .join(', ')

/** Shows each message beside its field, and what belongs to none above them. */
export function showErrors(form: HTMLFormElement, errors: Errors) {
  const rest = { ...errors }
  for (const input of form.querySelectorAll('input')) {
    const texts = rest[input.name]
    delete rest[input.name]
    input.setAttribute('aria-invalid', String(texts !== undefined))
    form.querySelector(`[data-error=${input.name}]`)!.textContent = texts?.join(', ') ?? ''
  }
  form.querySelector('[data-error=other]')!.textContent = messages(rest)
}

/** Says what the browser said of a passkey: mostly that its user did not want to. Any other error is thrown. */
export function refusedByUser(error: unknown) {
  if (!(error instanceof DOMException)) {
    throw error
  }
  notice.textContent =
    error.name === 'InvalidStateError'
      ? 'This device has a passkey of yours already.'
      : 'No passkey was used. Browsers offer them to pages from https: and from http://localhost.'
}
