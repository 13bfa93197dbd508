import { serve } from '../../../tools/conduit.mjs'

/** Starts a server with demo content on a port of its own, and waits until it listens. It leaves nothing behind. */
export const startServer = (...args: string[]) => serve({ args: ['--database=sqlite::memory:', '--demo', ...args] })
