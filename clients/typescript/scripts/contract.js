// Writes src/contract.ts from ../../openapi.yaml: what the client needs to know while it runs, when types are gone.
import { readFile, writeFile } from 'node:fs/promises'

import { parse } from 'yaml'

const source = new URL('../../../openapi.yaml', import.meta.url)
const target = new URL('../src/contract.ts', import.meta.url)

const contract = parse(await readFile(source, 'utf8'))
const lines = Object.entries(contract.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([, member]) => member.operationId !== undefined)
    .map(([method, { responses, security, 'x-oauth-errors': oauth }]) => {
      const token = security.some((scheme) => 'bearerAuth' in scheme)
      const statuses = Object.keys(responses)
      const contentOf = (status) => {
        const reference = responses[status].$ref
        return (reference ? contract.components.responses[reference.split('/').at(-1)] : responses[status]).content
      }
      const empty = statuses.filter((status) => !contentOf(status))
      const text = statuses.filter((status) => contentOf(status) && !contentOf(status)['application/json'])
      const members = [
        `token: ${token}, statuses: [${statuses.join(', ')}]`,
        ...(empty.length > 0 ? [`empty: [${empty.join(', ')}]`] : []),
        ...(text.length > 0 ? [`text: [${text.join(', ')}]`] : []),
        ...(oauth ? ['oauth: true'] : []),
      ]
      return `  '${method.toUpperCase()} ${path}': { ${members.join(', ')} },`
    }),
)

await writeFile(
  target,
  `// Written by \`npm run generate\` from openapi.yaml. Do not edit.

/** What the contract says of an operation: whether it takes a token, and the statuses with which it answers. */
export interface Operation {
  readonly token: boolean
  readonly statuses: readonly number[]
  /** Those of the statuses that have no body, and those whose body is a text. All others have JSON. */
  readonly empty?: readonly number[]
  readonly text?: readonly number[]
  /** Whether errors have a code of OAuth's, which no problem has. */
  readonly oauth?: boolean
}

/** The operations by method and path. */
export const contract: Readonly<Record<string, Operation>> = {
${lines.join('\n')}
}
`,
)
