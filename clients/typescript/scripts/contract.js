// Writes src/contract.ts from ../../openapi.yaml: what the client needs to know while it runs, when types are gone.
import { readFile, writeFile } from 'node:fs/promises'

import { parse } from 'yaml'

const source = new URL('../../../openapi.yaml', import.meta.url)
const target = new URL('../src/contract.ts', import.meta.url)

const contract = parse(await readFile(source, 'utf8'))
const lines = Object.entries(contract.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([, member]) => member.operationId !== undefined)
    .map(([method, { responses, security }]) => {
      const token = security.some((scheme) => 'bearerAuth' in scheme)
      return `  '${method.toUpperCase()} ${path}': { token: ${token}, statuses: [${Object.keys(responses).join(', ')}] },`
    }),
)

await writeFile(
  target,
  `// Written by \`npm run generate\` from openapi.yaml. Do not edit.

/** What the contract says of an operation: whether it takes a token, and the statuses with which it answers. */
export interface Operation {
  readonly token: boolean
  readonly statuses: readonly number[]
}

/** The operations by method and path. */
export const contract: Readonly<Record<string, Operation>> = {
${lines.join('\n')}
}
`,
)
