import type { ConduitClient } from './client.js'
import type { Result } from './result.js'
import type {
  AuthenticationCredential,
  CredentialDescriptor,
  operations,
  CredentialCreationOptions,
  CredentialRequestOptions,
  RegistrationCredential,
} from './schema.js'

/** The answers of an operation that say that it was refused. */
type Refusal<Operation> = Extract<Result<Operation>, { ok: false }>

export interface PasskeyOptions {
  /** Ends the browser's question to the user. */
  signal?: AbortSignal | undefined
}

export interface PasskeyLoginOptions extends PasskeyOptions {
  /**
   * Offers passkeys among the suggestions of an `<input autocomplete="username webauthn">` instead of asking for one
   * at once. The promise waits until the user chooses one, or `signal` ends it.
   */
  autofill?: boolean | undefined
}

/**
 * Tells whether there are passkeys here. Browsers have them in pages from `https:` and from `http://localhost`, not
 * from an IP address; Node.js has none.
 */
export function hasPasskeys(): boolean {
  return typeof PublicKeyCredential === 'function' && 'credentials' in navigator
}

/**
 * Has the user make a passkey, and adds it to the account that is logged in.
 *
 * It gives the answer of `createPasskey`, or of `createPasskeyChallenge` if that was refused, and rejects with what the
 * browser rejected with: a `DOMException` named `NotAllowedError` if the user did not want to, `InvalidStateError` if
 * the authenticator has one already.
 */
export async function addPasskey(
  client: ConduitClient,
  name?: string,
  options: PasskeyOptions = {},
): Promise<Result<operations['createPasskey']> | Refusal<operations['createPasskeyChallenge']>> {
  const begun = await client.POST('/user/passkeys/challenge')
  if (!begun.ok) {
    return begun
  }
  const credential = await makePasskey(begun.data.publicKey, options)
  return client.POST('/user/passkeys', { body: { passkey: { credential, ...(name && { name }) } } })
}

/**
 * Has the user choose a passkey and log in with it; nobody types an email. The app hands `data.session` to
 * `client.tokens.set`, as after any login.
 *
 * It gives the answer of `createPasskeySession`, or of `createPasskeyLoginChallenge` if that was refused, and rejects
 * with what the browser rejected with: a `DOMException` named `NotAllowedError` if the user did not want to.
 */
export async function logInWithPasskey(
  client: ConduitClient,
  options: PasskeyLoginOptions = {},
): Promise<Result<operations['createPasskeySession']> | Refusal<operations['createPasskeyLoginChallenge']>> {
  const begun = await client.POST('/sessions/passkey-challenge')
  if (!begun.ok) {
    return begun
  }
  const credential = await signWithPasskey(begun.data.publicKey, options)
  return client.POST('/sessions/passkey', { body: { session: { credential } } })
}

/**
 * Has the user show by one of their passkeys that they are still there. The server asks for such a proof by 403 with
 * `errors.proof`; after it, the request that was refused can be sent again.
 *
 * It gives the answer of `createPasskeyProof`, or of `createPasskeyProofChallenge` if that was refused, as where the
 * user has no passkey, and rejects as `logInWithPasskey` does.
 */
export async function proveWithPasskey(
  client: ConduitClient,
  options: PasskeyOptions = {},
): Promise<Result<operations['createPasskeyProof']> | Refusal<operations['createPasskeyProofChallenge']>> {
  const begun = await client.POST('/user/proofs/passkey-challenge')
  if (!begun.ok) {
    return begun
  }
  const credential = await signWithPasskey(begun.data.publicKey, options)
  return client.POST('/user/proofs/passkey', { body: { proof: { credential } } })
}

/** Has the user make a passkey, as `publicKey` of `createPasskeyChallenge` says. */
async function makePasskey(
  publicKey: CredentialCreationOptions,
  { signal }: PasskeyOptions,
): Promise<RegistrationCredential> {
  const { challenge, user, excludeCredentials } = publicKey
  const made = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: bytes(challenge),
      user: { ...user, id: bytes(user.id) },
      excludeCredentials: excludeCredentials.map(descriptor),
    },
    ...(signal && { signal }),
  })
  const credential = made as PublicKeyCredential
  const response = credential.response as AuthenticatorAttestationResponse
  return {
    ...shared(credential),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      attestationObject: text(response.attestationObject),
      transports: response.getTransports?.() ?? [],
    },
  }
}

/**
 * Has the user sign with a passkey, as `publicKey` of `createSession`'s challenge says. The result is the `credential`
 * for `answerChallenge`.
 */
export async function signWithPasskey(
  publicKey: CredentialRequestOptions,
  { signal, autofill }: PasskeyLoginOptions = {},
): Promise<AuthenticationCredential> {
  const { challenge, allowCredentials } = publicKey
  const signed = await navigator.credentials.get({
    publicKey: { ...publicKey, challenge: bytes(challenge), allowCredentials: allowCredentials.map(descriptor) },
    ...(signal && { signal }),
    ...(autofill && { mediation: 'conditional' }),
  })
  const credential = signed as PublicKeyCredential
  const response = credential.response as AuthenticatorAssertionResponse
  return {
    ...shared(credential),
    response: {
      clientDataJSON: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle && text(response.userHandle),
    },
  }
}

// Browsers can translate from and to JSON themselves. Those of 2024 cannot, and extensions that stand in for a
// browser's passkeys often leave toJSON out.

function shared(credential: PublicKeyCredential) {
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: 'public-key' as const,
    authenticatorAttachment: credential.authenticatorAttachment,
    clientExtensionResults: {},
  }
}

const descriptor = ({ id, transports }: CredentialDescriptor) => ({
  type: 'public-key' as const,
  id: bytes(id),
  transports: transports as AuthenticatorTransport[],
})

function bytes(base64url: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, (character) => character.charCodeAt(0))
}

function text(buffer: ArrayBuffer): string {
  const binary = String.fromCharCode(...new Uint8Array(buffer))
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}
