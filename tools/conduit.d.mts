export const binary: string
export const env: NodeJS.ProcessEnv

/** A running instance. stop fails if any answer broke the contract. */
export interface Instance {
  origin: string
  api: string
  stop: () => Promise<void>
  /** Ends it with SIGKILL, which it does not notice. */
  kill: () => Promise<void>
  /** What it has logged, which has the mail that it would send. */
  log: () => string
}

export function serve(options?: { cwd?: string; args?: string[] }): Promise<Instance>
