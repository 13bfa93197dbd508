import { dirname } from 'node:path'

// Packages are installed one folder above.
export default { turbopack: { root: dirname(import.meta.dirname) }, outputFileTracingRoot: dirname(import.meta.dirname) }
