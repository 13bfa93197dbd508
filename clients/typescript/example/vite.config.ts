import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vite'

export default defineConfig({
  // The client as it is in this folder. An app that installs the package needs nothing here.
  resolve: { alias: { '@conduit/client': fileURLToPath(new URL('../src/index.ts', import.meta.url)) } },
  // By this name browsers have passkeys, which they do not for an IP address.
  server: { host: 'localhost' },
})
