// Has the browser make and use passkeys. Whoever executes an operation that begins with one is asked by the browser.
// The answer is then in the body of the operation that ends it, which is executed like any other.

// Which operation ends what another begins, and what its body looks like.
const passkeySteps = {
  '/user/passkeys/challenge': {
    ends: '/user/passkeys',
    ask: makePasskey,
    wrap: (credential) => ({ passkey: { credential } }),
  },
  '/user/proofs/passkey-challenge': {
    ends: '/user/proofs/passkey',
    ask: usePasskey,
    wrap: (credential) => ({ proof: { credential } }),
  },
  '/sessions/passkey-challenge': {
    ends: '/sessions/passkey',
    ask: usePasskey,
    wrap: (credential) => ({ session: { credential } }),
  },
}

// answeredByPasskey is called with each answer. prepare gets the path of an operation and the body that is ready for
// it.
async function answeredByPasskey({ url, status, body }, prepare) {
  const path = new URL(url, location.href).pathname.replace(/^.*\/api(?=\/)/, '')
  const step = passkeySteps[path]
  if (!step || status !== 200 || !body?.publicKey) return
  try {
    const credential = await step.ask(body.publicKey)
    prepare(step.ends, step.wrap(credential))
    say(`Your browser has answered. Execute POST ${step.ends} now: its body is ready.`)
  } catch (error) {
    say(`${error.message} ${whereToGo(body.publicKey)}`)
  }
}

// whereToGo says at which address the page would have passkeys, if it is open at another one.
function whereToGo(publicKey) {
  const domain = publicKey.rpId ?? publicKey.rp.id
  if (location.hostname === domain || location.hostname.endsWith(`.${domain}`)) return ''
  return `The passkeys of this server are for ${domain}: open this page there.`
}

function say(text) {
  const note = document.getElementById('passkey-note')
  note.textContent = text
  note.hidden = text === ''
}

async function makePasskey(publicKey) {
  needPasskeys()
  const { challenge, user, excludeCredentials } = publicKey
  const made = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: toBytes(challenge),
      user: { ...user, id: toBytes(user.id) },
      excludeCredentials: excludeCredentials.map(toDescriptor),
    },
  })
  const { clientDataJSON, attestationObject } = made.response
  return {
    ...toJSON(made),
    response: {
      clientDataJSON: toText(clientDataJSON),
      attestationObject: toText(attestationObject),
      transports: made.response.getTransports?.() ?? [],
    },
  }
}

async function usePasskey(publicKey) {
  needPasskeys()
  const { challenge, allowCredentials } = publicKey
  const signed = await navigator.credentials.get({
    publicKey: { ...publicKey, challenge: toBytes(challenge), allowCredentials: allowCredentials.map(toDescriptor) },
  })
  const { clientDataJSON, authenticatorData, signature, userHandle } = signed.response
  return {
    ...toJSON(signed),
    response: {
      clientDataJSON: toText(clientDataJSON),
      authenticatorData: toText(authenticatorData),
      signature: toText(signature),
      userHandle: userHandle && toText(userHandle),
    },
  }
}

function needPasskeys() {
  if (!navigator.credentials)
    throw new Error('Browsers have passkeys in pages from https: and from http://localhost only.')
}

function toJSON({ id, rawId, authenticatorAttachment }) {
  return { id, rawId: toText(rawId), type: 'public-key', authenticatorAttachment, clientExtensionResults: {} }
}

function toDescriptor({ id, transports }) {
  return { type: 'public-key', id: toBytes(id), transports }
}

function toBytes(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0))
}

function toText(buffer) {
  const text = btoa(String.fromCharCode(...new Uint8Array(buffer)))
  return text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
