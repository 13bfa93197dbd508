// Writes clients/bruno from openapi.yaml: a folder for each tag, a request for each operation, and scripts that lead a
// run from one to the next by journey.js. Nothing in that folder is written by hand.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'

import lang from '@usebruno/lang'
import { parse } from 'yaml'

import { journey } from './journey.js'

const root = path.resolve(import.meta.dirname, '../..')
const target = path.join(root, 'clients/bruno')
const contract = parse(await readFile(path.join(root, 'openapi.yaml'), 'utf8'))
const operations = Object.entries(contract.paths).flatMap(([route, item]) =>
  Object.entries(item)
    .filter(([, member]) => member.operationId)
    .map(([method, operation]) => ({
      ...operation,
      route,
      method,
      parameters: [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolved),
    })),
)
check()

// resolved returns what a part of the contract stands for.
function resolved(part) {
  const names = part?.$ref?.split('/').slice(1)
  return names ? names.reduce((node, name) => node[name], contract) : part
}

// check throws unless the journey has each operation of the contract, once.
function check() {
  const there = operations.map(({ operationId }) => operationId)
  const steps = journey.map(({ operation }) => operation)
  for (const id of there) {
    if (!steps.includes(id)) throw new Error(`give ${id} a place in tools/collection/journey.js`)
  }
  for (const id of steps) {
    if (!there.includes(id)) throw new Error(`tools/collection/journey.js has ${id}, which is not in openapi.yaml`)
  }
  if (new Set(steps).size < steps.length) throw new Error('tools/collection/journey.js has an operation twice')
}

// exampleOf returns the first example that the contract has for a parameter or a body.
const exampleOf = ({ example, examples }) =>
  example ?? Object.values(examples ?? {}).map((one) => resolved(one).value)[0]

// within returns a value with parts replaced: an object's members, and of those inside.
function within(value, parts) {
  if (typeof parts !== 'object' || parts === null) return parts ?? value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, name in parts ? within(member, parts[name]) : member]),
  )
}

// bodyOf returns the body of a request in Bruno's words.
function bodyOf({ requestBody }, step) {
  const [[media, content] = []] = Object.entries(requestBody?.content ?? {})
  if (!media) return { mode: 'none' }
  const example = within(exampleOf(content), step.body)
  if (media === 'application/json') return { mode: 'json', body: { json: JSON.stringify(example, null, 2) } }
  const fields = Object.entries(example).map(([name, value]) => ({ name, value: String(value), enabled: true }))
  return { mode: 'formUrlEncoded', body: { formUrlEncoded: fields } }
}

// authOf returns how a request says who asks.
function authOf({ security }, step) {
  if (security.some((scheme) => scheme.clientAuth)) {
    return { mode: 'basic', auth: { basic: { username: '{{clientId}}', password: '{{clientSecret}}' } } }
  }
  if (!security.some((scheme) => scheme.bearerAuth)) return { mode: 'none' }
  return { mode: 'bearer', auth: { bearer: { token: `{{${step.token ?? 'token'}}}` } } }
}

// successOf is the status of an answer in which all went well. Of several it is the first, as 201 before 202.
const successOf = ({ responses }) => Number(Object.keys(responses).find((status) => status.startsWith('2')))

// memberOf is the one member under which an answer has its content, if it has one.
function memberOf({ responses }, status) {
  const content = resolved(responses[status]).content?.['application/json']
  const schema = content && resolved(content.schema)
  return schema?.required?.length === 1 ? schema.required[0] : undefined
}

function request(operation, step, seq, next) {
  const statuses = [step.status ?? successOf(operation)].flat()
  for (const status of statuses) {
    if (!operation.responses[status]) throw new Error(`${operation.operationId} has no ${status} in openapi.yaml`)
  }
  const { mode: authMode, auth } = authOf(operation, step)
  const { mode: bodyMode, body } = bodyOf(operation, step)
  const params = operation.parameters.map((parameter) => {
    const given = step[parameter.in]?.[parameter.name]
    return {
      name: parameter.name,
      value: String(given ?? exampleOf(parameter)),
      type: parameter.in,
      enabled: parameter.in === 'path' || given !== undefined,
    }
  })
  const member = statuses.length === 1 && memberOf(operation, statuses[0])
  const asserted = {
    'res.status': statuses.length === 1 ? `eq ${statuses[0]}` : `in ${statuses.join(', ')}`,
    ...(member && { [`res.body.${member}`]: 'isDefined' }),
  }
  const goOn = next ? `bru.runner.setNextRequest(${JSON.stringify(next)});` : 'bru.runner.stopExecution();'
  const docs = [operation.description, step.why && `**In a run** the answer is ${statuses.join(' or ')}: ${step.why}.`]
  const query = params.filter(({ type, enabled }) => type === 'query' && enabled)
  const search = query.map(({ name, value }) => `${name}=${value}`).join('&')
  return lang.jsonToBruV2({
    meta: { name: operation.summary, type: 'http', seq },
    http: {
      method: operation.method,
      url: `{{baseUrl}}${operation.route.replace(/{(\w+)}/g, ':$1')}${search && `?${search}`}`,
      body: bodyMode,
      auth: authMode,
    },
    params,
    auth,
    body,
    assertions: Object.entries(asserted).map(([name, value]) => ({ name, value, enabled: true })),
    script: {
      req: step.before,
      res: step.after ? `if (res.status < 300) {\n${indented(step.after)}\n}\n${goOn}` : goOn,
    },
    docs: docs.filter(Boolean).join('\n').trim(),
  })
}

const indented = (text) => text.replace(/^(?=.)/gm, '  ')

async function write(file, text) {
  await mkdir(path.dirname(path.join(target, file)), { recursive: true })
  await writeFile(path.join(target, file), `${text.replace(/[ \t]+$/gm, '').trimEnd()}\n`)
}

await rm(target, { recursive: true, force: true })
await write('bruno.json', JSON.stringify({ version: '1', name: contract.info.title, type: 'collection' }, null, 2))
await write(
  'collection.bru',
  lang.jsonToCollectionBru({
    meta: { name: contract.info.title },
    docs: `Made from openapi.yaml by \`make collection\`: what is changed here by hand is lost.

Choose the environment \`local\`, and run the whole collection: it calls each operation once, from the registration of
somebody new to their end, and then as an admin. Or send single requests: \`Register a new user\` and \`Log in\` keep
the token for the others.

The folder Admin wants an admin, and \`Ask whether a token counts\` a client. \`conduit users set-role NAME admin\` and
\`conduit clients add NAME\` make them; fill in their names and secrets under Environments. Do not run the whole against
a server that people use: it changes the signing key, and sends mail.`,
  }),
)
const variable = (name, value) => ({ name, value, enabled: true, secret: value === undefined })
await write(
  'environments/local.bru',
  lang.envJsonToBruV2({
    variables: [
      variable('baseUrl', 'http://127.0.0.1:8080/api'),
      variable('password', 'jakes secret'),
      variable('adminUsername', 'ada'),
      variable('adminEmail', 'ada@example.com'),
      variable('adminPassword'),
      variable('clientId', ''),
      variable('clientSecret'),
    ],
  }),
)
for (const [i, { name, description }] of contract.tags.entries()) {
  const script = name === 'Admin' && {
    script: {
      req: `if (!bru.getVar('adminToken')) {
  const { data } = await bru.sendRequest({
    method: 'POST',
    url: bru.interpolate('{{baseUrl}}/users/login'),
    headers: { 'Content-Type': 'application/json' },
    data: { user: { email: bru.interpolate('{{adminEmail}}'), password: bru.interpolate('{{adminPassword}}') } },
  });
  bru.setVar('adminToken', data.user.token);
}`,
    },
  }
  await write(
    `${name}/folder.bru`,
    lang.jsonToCollectionBru({ meta: { name, seq: i + 1 }, ...script, docs: description }),
  )
}
for (const [i, step] of journey.entries()) {
  const operation = operations.find(({ operationId }) => operationId === step.operation)
  const next = operations.find(({ operationId }) => operationId === journey[i + 1]?.operation)
  const [tag] = operation.tags
  const seq = operations.filter(({ tags }) => tags[0] === tag).indexOf(operation) + 1
  await write(`${tag}/${operation.operationId}.bru`, request(operation, step, seq, next?.summary))
}
