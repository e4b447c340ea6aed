// Validates recorded responses by the schemas that Seam publishes (`@seamapi/types`) and by what every response must
// have: its status, its content type, the request's id, and the shape of an error.
//
//     node schema.mjs recording.jsonl
//
// Prints a line for each kind of call of each client, with the faults of its responses. Unknown keys are a note: clients
// ignore them.

import { readFileSync } from 'node:fs'

import { schemas } from '@seamapi/types/connect'
import { z } from 'zod'

// The package has this schema, but does not export it.
import { phone } from './node_modules/@seamapi/types/lib/seam/connect/models/devices/phone.js'

// Two keys that the clients know and this version of the types does not.
const user_identity = schemas.user_identity.extend({
  merged_user_identity_ids: z.array(z.string().uuid()),
  merged_user_identity_keys: z.array(z.string()),
})
const { pagination, seam_event, webhook, workspace } = schemas
// A device is a phone here. What the schema of all devices finds is a note only, since that schema also requires what
// phones do not have, such as a connected account.
const { device } = schemas

const schemasOfRoutes = {
  '/phones/list': { phones: z.array(phone) },
  '/phones/get': { phone },
  '/phones/deactivate': {},
  '/phones/simulate/create_sandbox_phone': { phone },
  '/devices/list': { devices: z.array(phone), pagination },
  '/devices/get': { device: phone },
  '/devices/update': {},
  '/events/list': { events: z.array(seam_event) },
  '/events/get': { event: seam_event },
  '/user_identities/create': { user_identity },
  '/user_identities/get': { user_identity },
  '/user_identities/list': { user_identities: z.array(user_identity), pagination },
  '/user_identities/update': {},
  '/user_identities/delete': {},
  '/workspaces/get': { workspace },
  '/workspaces/list': { workspaces: z.array(workspace) },
  '/webhooks/create': { webhook: webhook.required() },
}

const tree = z.lazy(() => z.object({ _errors: z.array(z.string()) }).catchall(tree))
const error = z.object({
  error: z.object({
    type: z.string(),
    message: z.string().min(1),
    request_id: z.string().optional(),
    validation_errors: tree.optional(),
  }),
  ok: z.literal(false),
})
const statuses = {
  invalid_input: 400,
  invalid_content_type: 400,
  unauthorized: 401,
  device_not_found: 404,
  event_not_found: 404,
  user_identity_not_found: 404,
  method_not_allowed: 405,
}

// An error of two parameters together is among the errors of the whole request.
const crossField = 'Must specify either since or between'

const issuesOf = (parsed) => parsed.error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`) ?? []

// The keys of `actual` that `known`, the value as the schema parsed it, does not have.
function unknown(actual, known, path = []) {
  if (typeof actual !== 'object' || actual === null || typeof known !== 'object' || known === null) return []
  return Object.keys(actual).flatMap((key) => {
    const here = Array.isArray(actual) ? [...path, '*'] : [...path, key]
    return key in known ? unknown(actual[key], known[key], here) : [`unknown key ${here.join('.')}`]
  })
}

function examine({ path, status, headers, body }) {
  const faults = []
  const notes = []
  const id = headers['seam-request-id']
  if (!id) faults.push('no seam-request-id')
  if (!/^application\/json(;|$)/.test(headers['content-type'])) faults.push(`content-type ${headers['content-type']}`)
  let json
  try {
    json = JSON.parse(body)
  } catch {
    return { faults: [...faults, `not JSON: ${body.slice(0, 80)}`], notes }
  }
  const parsed = (status < 400 ? z.object({ ...schemasOfRoutes[path], ok: z.literal(true) }) : error).safeParse(json)
  faults.push(...issuesOf(parsed))
  const devices = status < 400 ? [json.device ?? [], json.devices ?? []].flat() : []
  for (const one of devices) notes.push(...issuesOf(device.safeParse(one)).map((issue) => `as a device: ${issue}`))
  if (devices.length === 0) notes.push(...unknown(json, parsed.data))
  if (status < 400) {
    if (status !== 200) faults.push(`status ${status}`)
  } else if (parsed.success) {
    const { type, message, request_id, validation_errors } = json.error
    if (!(type in statuses)) notes.push(`error ${type} ${status}, which Seam does not have`)
    else if (status !== statuses[type]) faults.push(`${type} with status ${status}`)
    if (request_id !== undefined && request_id !== id) faults.push(`error.request_id is not the header's`)
    if (message === crossField && !validation_errors?._errors.includes(crossField)) {
      faults.push(`its message is not among the top-level _errors: ${JSON.stringify(validation_errors)}`)
    }
    if ((type === 'invalid_input') !== (validation_errors !== undefined)) faults.push(`${type}: validation_errors`)
  }
  return { faults, notes }
}

const kinds = {}
const notes = new Set()
const succeeded = {}
for (const line of readFileSync(process.argv[2], 'utf8').trim().split('\n')) {
  const call = JSON.parse(line)
  const { client, method, path, status } = call
  const result = examine(call)
  const kind = (kinds[`${client}: ${method} ${path} ${status}`] ??= { count: 0, faults: new Map() })
  kind.count += 1
  for (const fault of result.faults) kind.faults.set(fault, call)
  for (const note of result.notes) notes.add(`${path} ${note}`)
  succeeded[client] ??= new Set()
  if (status === 200) succeeded[client].add(path)
}

let failed = false
for (const [what, { count, faults }] of Object.entries(kinds).sort()) {
  failed ||= faults.size > 0
  console.log(faults.size > 0 ? 'FAILED' : 'ok    ', `${what} (${count} times)`)
  for (const [fault, { query, sent, body }] of faults) {
    console.log(`       ${fault}\n       request: ${query || sent}\n       response: ${body.slice(0, 600)}`)
  }
}
for (const [client, paths] of Object.entries(succeeded)) {
  const absent = Object.keys(schemasOfRoutes).filter((path) => !paths.has(path) && path !== '/webhooks/create')
  failed ||= absent.length > 0
  console.log(absent.length > 0 ? 'FAILED' : 'ok    ', `${client}: every route succeeded`, ...absent)
}
for (const note of [...notes].sort()) console.log('note  ', note)
process.exitCode = failed ? 1 : 0
