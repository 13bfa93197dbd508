// Reads documents of OpenAPI 3.1 and 3.2 and holds values to their schemas, by Ajv's JSON Schema 2020-12.
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'

const methods = ['get', 'put', 'post', 'delete']

// operations returns the operations of a document by operationId.
export function operations(document) {
  const all = Object.entries(document.paths).flatMap(([route, item]) =>
    methods.filter((method) => item[method]).map((method) => ({ route, method, ...item[method] })),
  )
  return Object.fromEntries(all.map((operation) => [operation.operationId, operation]))
}

// withoutReference returns what a part of the document stands for.
export function withoutReference(document, part) {
  if (!part?.$ref) return part
  return at(document, part.$ref.slice(1))
}

function at(document, pointer) {
  const names = pointer.split('/').slice(1)
  return names.reduce((node, name) => node[name.replaceAll('~1', '/').replaceAll('~0', '~')], document)
}

// schemasOf compiles the schemas of a document. Ajv is strict: a word that JSON Schema 2020-12 does not have throws,
// but for those that begin with x- and the discriminator of OpenAPI.
export function schemasOf(document) {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true })
  formats.default(ajv)
  for (const name of ['int32', 'int64', 'password']) ajv.addFormat(name, true)
  const extensions = new Set([...JSON.stringify(document).matchAll(/"(x-[a-z-]+)":/g)].map(([, name]) => name))
  for (const name of extensions) ajv.addKeyword(name)
  ajv.addKeyword('discriminator') // says no more than oneOf does
  ajv.addKeyword('components') // so that the document itself can be what its references lead to
  ajv.addSchema({ $id: 'contract:', components: document.components }, 'contract:')

  const compiled = new Map()
  const compile = (schema) => {
    const key = typeof schema === 'string' ? schema : JSON.stringify(schema)
    if (!compiled.has(key)) {
      const absolute =
        typeof schema === 'string'
          ? { $ref: `contract:#${schema}` }
          : JSON.parse(key.replaceAll('"$ref":"#/', '"$ref":"contract:#/'))
      compiled.set(key, ajv.compile(absolute))
    }
    return compiled.get(key)
  }

  return {
    // faults returns what is wrong with a value by a schema, or by the schema at a JSON pointer.
    faults(schema, value) {
      const check = compile(schema)
      check(value)
      return (check.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
    },

    // examples goes through all that the document shows as examples, each with the schema that it has to obey.
    *examples() {
      const walk = function* (node, pointer) {
        if (node === null || typeof node !== 'object') return
        if (Array.isArray(node)) {
          for (const [i, element] of node.entries()) yield* walk(element, `${pointer}/${i}`)
          return
        }
        const { schema } = node
        if (schema && 'example' in node) yield { pointer, schema, value: node.example }
        if (schema && node.examples) {
          for (const [name, example] of Object.entries(node.examples)) {
            yield { pointer: `${pointer}/${name}`, schema, value: withoutReference(document, example).value }
          }
        }
        for (const [name, value] of Object.entries(node)) {
          const below = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
          if (name === 'schema') yield* inSchema(value, below)
          else if (name === 'schemas') {
            for (const [named, schema] of Object.entries(value)) yield* inSchema(schema, `${below}/${named}`)
          } else if (name !== 'example' && name !== 'examples' && !name.startsWith('x-')) yield* walk(value, below)
        }
      }
      const inSchema = function* (schema, pointer) {
        for (const value of schema.examples ?? []) yield { pointer, schema: withoutExamples(schema), value }
        for (const [name, member] of Object.entries(schema.properties ?? {})) {
          yield* inSchema(member, `${pointer}/properties/${name}`)
        }
        for (const name of ['items', 'additionalProperties']) {
          if (typeof schema[name] === 'object') yield* inSchema(schema[name], `${pointer}/${name}`)
        }
      }
      yield* walk(document, '')
    },
  }
}

function withoutExamples({ examples, ...schema }) {
  return schema
}
