export {
  createConduitClient,
  UnexpectedResponseError,
  type ConduitClient,
  type ConduitClientOptions,
} from './client.js'
export { EventsRefusedError, type EventsOptions, type UserEvents } from './events.js'
export {
  addPasskey,
  hasPasskeys,
  logInWithPasskey,
  proveWithPasskey,
  signWithPasskey,
  type PasskeyLoginOptions,
  type PasskeyOptions,
} from './passkeys.js'
export { fieldsOf } from './problems.js'
export type { Answer, Call, CallInit, HeadCall, HeadResult, PathWith, Result } from './result.js'
export type { RetryOptions } from './retry.js'
export type * from './schema.js'
export type { TokenStore, Tokens } from './tokens.js'
