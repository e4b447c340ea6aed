// Calls a running server with npm's published `seam` (which uses `@seamapi/http`) or with an older `@seamapi/http`, and
// prints a line for each check.
//
//     SEAM_ENDPOINT=http://127.0.0.1:4750 node clients.mjs CURRENT|OLDER < scene.json
//
// The same as `clients.py`, which has the comments.

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { isDeepStrictEqual } from 'node:util'

import * as older from '@seamapi/http-older'
import * as current from 'seam'

const isCurrent = process.argv[2] === 'CURRENT'
const {
  SeamHttp,
  SeamHttpMultiWorkspace,
  isSeamHttpApiError,
  isSeamHttpInvalidInputError,
  isSeamHttpUnauthorizedError,
} = isCurrent ? current : older
// Verifying was always a package of its own, without generations.
const { SeamWebhook, SeamWebhookVerificationError } = current
let failed = 0

async function same(what, expected, call) {
  let got
  try {
    got = await call()
  } catch (fault) {
    got = `${fault}`
  }
  const held = isDeepStrictEqual(got, expected)
  failed += !held
  console.log(held ? 'ok    ' : 'FAILED', what)
  if (!held) console.log('       expected', expected, '\n       got     ', got)
}

async function refusal(call, isKind = isSeamHttpApiError) {
  try {
    await call()
  } catch (error) {
    if (!isKind(error)) throw error
    return [error.code, error.statusCode, error.requestId !== '']
  }
}

const missing = (what, code, call) => same(what, [code, 404, true], () => refusal(call))

const invalid = (what, parameters, call) =>
  same(what, ['invalid_input', 400, true, parameters], async () => {
    try {
      await call()
    } catch (error) {
      if (!isSeamHttpInvalidInputError(error)) throw error
      // The older client returns the messages of a given parameter, but does not list the parameters.
      const named = isCurrent ? error.validationErrors.map((fault) => fault.parameterName) : parameters
      return [error.code, error.statusCode, error.requestId !== '', named]
    }
  })

const ids = (things, key = 'device_id') => things.map((thing) => thing[key]).sort()
const nobody = () => randomUUID()
const hours = (number) => new Date(Date.now() + number * 3_600_000).toISOString()

async function workspace(seam, scene) {
  const got = await seam.workspaces.get()
  await same("the workspace is the key's", scene.workspace_id, () => got.workspace_id)
  await same('the workspace has its name', scene.name, () => got.name)
  await same('the workspace says whether it is a sandbox', scene.sandbox, () => got.is_sandbox)
}

async function personalAccessTokens(seam, scene) {
  const { personal_access_token: token, workspace_id: own, spare_workspace_id: spare } = scene
  const within = (workspace_id) => SeamHttp.fromPersonalAccessToken(token, workspace_id)
  const workspacesOf = async (seam) => ids(await seam.workspaces.list(), 'workspace_id')
  const id = async (seam) => (await seam.workspaces.get()).workspace_id
  await same('a token selects its workspace by the header', own, () => id(within(own)))
  await same('a token selects another workspace', spare, () => id(within(spare)))
  const every = ids(await seam.phones.list())
  await same('a token lists the same phones as a key', every, async () => ids(await within(own).phones.list()))
  await same("a token does not list another workspace's phones", [], async () => ids(await within(spare).phones.list()))
  const made = await within(spare).userIdentities.create({ full_name: 'Tess Token' })
  await same('a token can create objects', spare, () => made.workspace_id)
  await within(spare).userIdentities.delete({ user_identity_id: made.user_identity_id })
  await same('a token lists its workspaces', [own, spare].sort(), () =>
    workspacesOf(SeamHttpMultiWorkspace.fromPersonalAccessToken(token)),
  )
  await same('a key lists its workspace', [own], () => workspacesOf(seam))
  const strangers = {
    'a workspace without access by the token': within(scene.other.workspace_id),
    'an unknown workspace': within(nobody()),
    'a wrong token': SeamHttp.fromPersonalAccessToken(`${token.slice(0, -24)}${'1'.repeat(24)}`, own),
  }
  for (const [what, stranger] of Object.entries(strangers)) {
    await same(`${what} is unauthorized`, ['unauthorized', 401, true], () =>
      refusal(() => stranger.phones.list(), isSeamHttpUnauthorizedError),
    )
  }
}

async function phones(seam, scene) {
  const every = ids(scene.phones)
  const { acs_credential_id, device_id } = scene.credential
  const list = async (parameters) => ids(await seam.phones.list(parameters))
  await same('every phone is listed', every, () => list())
  await same('phones are listed by owner', every, () => list({ owner_user_identity_id: scene.owner.user_identity_id }))
  await same('an unknown owner has no phones', [], () => list({ owner_user_identity_id: nobody() }))
  await same('phones are listed by credential', [device_id], () => list({ acs_credential_id }))
  await same('an unknown credential has no phones', [], () => list({ acs_credential_id: nobody() }))
  await same('a revoked credential has no phones', [], () => list({ acs_credential_id: scene.revoked_credential_id }))
  for (const { device_id, device_type } of scene.phones) {
    const got = await seam.phones.get({ device_id })
    await same('a phone is returned by its id', [device_id, device_type, scene.workspace_id, false], () => [
      got.device_id,
      got.device_type,
      got.workspace_id,
      'nickname' in got,
    ])
    await same('the list has the same phone', [got], async () =>
      (await seam.phones.list()).filter((listed) => listed.device_id === device_id),
    )
  }
}

async function credentialServices(seam, scene) {
  const { properties, warnings } = await seam.phones.get({ device_id: scene.served_device_id })
  await same(
    "a credential service's endpoints show",
    [
      ['7', true],
      ['8', false],
    ],
    () =>
      properties.assa_abloy_credential_service_metadata.endpoints.map((one) => [one.endpoint_id, one.is_active]).sort(),
  )
  await same(
    'one endpoint is active',
    true,
    () => properties.assa_abloy_credential_service_metadata.has_active_endpoint,
  )
  await same(
    'the other service has no active endpoint',
    false,
    () => properties.salto_space_credential_service_metadata.has_active_phone,
  )
  await same("the service's problem is a warning", true, () =>
    warnings.some((warning) => warning.warning_code === 'unknown_issue_with_phone'),
  )
}

async function refusals(seam, scene) {
  const stranger = new SeamHttp({ apiKey: 'seam_11111111_111111111111111111111111' })
  const { devices, events, phones, userIdentities } = seam
  await same('a wrong key is unauthorized', ['unauthorized', 401, true], () =>
    refusal(() => stranger.phones.list(), isSeamHttpUnauthorizedError),
  )
  await missing('an unknown phone', 'device_not_found', () => phones.get({ device_id: nobody() }))
  await missing('an unknown phone to deactivate', 'device_not_found', () => phones.deactivate({ device_id: nobody() }))
  await missing('an unknown device', 'device_not_found', () => devices.get({ device_id: nobody() }))
  await missing('an unknown device to update', 'device_not_found', () =>
    devices.update({ device_id: nobody(), name: 'a' }),
  )
  await missing('an unknown event', 'event_not_found', () => events.get({ event_id: nobody() }))
  await missing('an unknown user identity', 'user_identity_not_found', () =>
    userIdentities.get({ user_identity_id: nobody() }),
  )
  await missing('an unknown key of a user identity', 'user_identity_not_found', () =>
    userIdentities.get({ user_identity_key: 'nobody' }),
  )
  // The current client does not send this.
  if (!isCurrent) {
    await same('a missing id', ['device_id is required', ['Required']], async () => {
      const error = await phones.get({}).then(null, (error) => error)
      return [error.message, error.getValidationErrorMessages('device_id')]
    })
  }
  await invalid('an invalid id', ['device_id'], () => phones.get({ device_id: 'phone' }))
  await invalid('an invalid owner', ['owner_user_identity_id'], () =>
    phones.list({ owner_user_identity_id: 'ada' }),
  )
  await invalid('an invalid e-mail address', ['email_address'], () => userIdentities.create({ email_address: 'ada' }))
  await invalid('events without a time range', [], () => events.list({ event_type: 'phone.deactivated' }))
  await same('a parameter has its messages', true, async () => {
    const error = await phones.get({ device_id: 'phone' }).then(null, (error) => error)
    return error.getValidationErrorMessages('device_id').length > 0
  })
}

async function devices(seam, scene) {
  const [{ device_id }, { device_id: other_id }] = scene.phones
  const ios = ids(scene.phones.filter((phone) => phone.device_type === 'ios_phone'))
  const every = ids(await seam.phones.list())
  const metadata = async () => (await seam.devices.get({ device_id })).custom_metadata
  const update = (custom_metadata) => seam.devices.update({ device_id, custom_metadata })
  const having = async (custom_metadata_has) => ids(await seam.devices.list({ custom_metadata_has }))

  await same('devices are the phones', every, async () => ids(await seam.devices.list()))
  await same('pages of devices have every phone', every, async () =>
    ids(await seam.createPaginator(seam.devices.list()).flattenToArray()),
  )
  await same('devices are listed by type', ios, async () => ids(await seam.devices.list({ device_type: 'ios_phone' })))
  await same('a device is returned by its id', device_id, async () => (await seam.devices.get({ device_id })).device_id)

  await seam.devices.update({ device_id: other_id, custom_metadata: { site: 'B' } })
  await update({ site: 'A.1', room: '12', on: true })
  await same('metadata is stored', { site: 'A.1', room: '12', on: true }, metadata)
  await update({ room: '13', wing: 'east' })
  await same('metadata is merged', { site: 'A.1', room: '13', on: true, wing: 'east' }, metadata)
  await same(
    'a phone has the same metadata',
    await metadata(),
    async () => (await seam.phones.get({ device_id })).custom_metadata,
  )
  await same('a device is found by a string', [device_id], () => having({ site: 'A.1' }))
  await same('a device is found by a boolean', [device_id], () => having({ on: true }))
  await same('a device is found by two values', [device_id], () => having({ on: true, wing: 'east' }))
  await same('both values must match', [], () => having({ on: true, site: 'B' }))
  await same('a value of no device finds nothing', [], () => having({ site: 'C' }))
  await update({ room: null, wing: '' })
  await same('null and an empty string remove a key', { site: 'A.1', on: true }, metadata)
  await same('a removed value finds nothing', [], () => having({ room: '13' }))
  const keys = (number) => Object.fromEntries(Array.from({ length: number }, (_, index) => [`k${index}`, 'a']))
  const wrong = {
    'a value of 501 characters': { a: 'x'.repeat(501) },
    'a key of 41 characters': { ['k'.repeat(41)]: 'a' },
    'a key with a dot': { 'a.b': 'c' },
    'a number': { a: 1 },
    'an object': { a: { b: 'c' } },
    '51 keys': keys(51),
    '49 keys in addition to two': keys(49),
  }
  for (const [what, metadata] of Object.entries(wrong)) {
    await invalid(`metadata with ${what}`, ['custom_metadata'], () => update(metadata))
  }
  await same('a refused update changes nothing', { site: 'A.1', on: true }, metadata)

  await seam.devices.update({ device_id, name: "Ada's phone" })
  for (const route of [seam.phones, seam.devices]) {
    const got = await route.get({ device_id })
    await same('a name is the nickname and the display name', ["Ada's phone", "Ada's phone"], () => [
      got.nickname,
      got.display_name,
    ])
  }
  await seam.devices.update({ device_id, name: null })
  const got = await seam.phones.get({ device_id })
  await same('a removed name restores the display name', [false, false], () => [
    'nickname' in got,
    got.display_name === "Ada's phone",
  ])
}

async function userIdentities(seam, scene) {
  const { user_identity_id: owner, email_address } = scene.owner
  const asked = {
    user_identity_key: `key-${nobody()}`,
    email_address: `${nobody()}@example.com`,
    phone_number: '+14155550100',
    full_name: 'Grace Hopper',
  }
  const get = (parameters) => seam.userIdentities.get(parameters)
  const list = async (parameters) => ids(await seam.userIdentities.list(parameters), 'user_identity_id')
  const made = await seam.userIdentities.create(asked)
  const { user_identity_id } = made
  await same('a user identity is created with its values', asked, () =>
    Object.fromEntries(Object.keys(asked).map((name) => [name, made[name]])),
  )
  await same('create and get return the same user identity', made, () => get({ user_identity_id }))
  await same('a user identity is found by its key', made, () => get({ user_identity_key: asked.user_identity_key }))
  await same('a user identity has a display name', true, () => made.display_name !== '')
  const bare = await seam.userIdentities.create()
  await same(
    'a user identity is created without values',
    [null, null],
    () => [bare.user_identity_key, bare.email_address],
  )
  await same(
    'a user is a user identity',
    email_address,
    async () => (await get({ user_identity_id: owner })).email_address,
  )

  const every = [user_identity_id, bare.user_identity_id, owner].sort()
  await same('every user identity is listed', every, () => list())
  await same('a search finds the user identity', [user_identity_id], () => list({ search: 'hopper' }))
  const paginator = seam.createPaginator(seam.userIdentities.list({ limit: 1 }))
  await same('pages have every user identity', every, async () =>
    ids(await paginator.flattenToArray(), 'user_identity_id'),
  )
  const [first, pagination] = await paginator.firstPage()
  await same('a page has the requested length', 1, () => first.length)
  await same('the first page has a next page', true, () => pagination.hasNextPage)
  const second = await list({ limit: 1, page_cursor: pagination.nextPageCursor })
  await same(
    'the cursor returns the next page',
    [1, false],
    () => [second.length, second[0] === first[0].user_identity_id],
  )
  const [, last] = await seam.createPaginator(seam.userIdentities.list({ limit: 100 })).firstPage()
  await same('the last page has no next page', [false, null], () => [last.hasNextPage, last.nextPageCursor])
  await same('null as a cursor is the first page', every, () => list({ page_cursor: null }))

  await seam.userIdentities.update({ user_identity_id, full_name: 'Grace Brewster Hopper' })
  const got = await get({ user_identity_id })
  await same('a name is changed', 'Grace Brewster Hopper', () => got.full_name)
  await same('other values are unchanged', asked.email_address, () => got.email_address)
  await seam.userIdentities.update({ user_identity_id, phone_number: null })
  await same('null removes a value', null, async () => (await get({ user_identity_id })).phone_number)
  for (const gone of [user_identity_id, bare.user_identity_id]) {
    await seam.userIdentities.delete({ user_identity_id: gone })
  }
  await missing('a deleted user identity', 'user_identity_not_found', () => get({ user_identity_id }))
  await same('deleted user identities are not listed', [owner], () => list())
}

async function sandboxPhones(seam, scene) {
  const { user_identity_id } = await seam.userIdentities.create({ full_name: 'Sandy Box' })
  const create = (parameters) => seam.phones.simulate.createSandboxPhone({ user_identity_id, ...parameters })
  const list = async () => ids(await seam.phones.list({ owner_user_identity_id: user_identity_id }))
  if (!scene.sandbox) {
    await same('no sandbox phone outside a sandbox', true, async () => {
      const [, status] = await refusal(() => create())
      return status >= 400 && status < 500
    })
    return
  }
  const plain = await create()
  await same('a sandbox phone runs Android', 'android_phone', () => plain.device_type)
  const described = await create({
    custom_sdk_installation_id: 'installation-1',
    phone_metadata: {
      operating_system: 'ios',
      device_model: 'iPhone 17',
      os_version: '26.1',
      device_manufacturer: 'Apple',
    },
    assa_abloy_metadata: {
      application_version: '1.0.0',
      seos_applet_version: '1.0.0',
      seos_tsm_endpoint_id: 1,
      ble_capability: true,
      hce_capability: false,
      nfc_capability: false,
    },
  })
  await same('a sandbox phone runs iOS if requested', 'ios_phone', () => described.device_type)
  await same('sandbox phones are listed by owner', ids([plain, described]), list)
  for (const phone of [plain, described]) {
    const { device_id } = phone
    await same('get returns the sandbox phone as created', phone, () => seam.phones.get({ device_id }))
    await seam.phones.deactivate({ device_id })
  }
  await same('deactivated sandbox phones are not listed', [], list)
  await missing(
    'a sandbox phone of an unknown user identity',
    'user_identity_not_found',
    () => create({ user_identity_id: nobody() }),
  )
  await invalid('a sandbox phone with an unknown operating system', ['phone_metadata'], () =>
    create({ phone_metadata: { operating_system: 'symbian' } }),
  )
}

async function isolation(seam, scene) {
  const { device_id, user_identity_id, event_id, acs_credential_id, deactivated_device_id } = scene.other
  const { devices, events, phones, userIdentities } = seam
  await missing("another workspace's phone", 'device_not_found', () => phones.get({ device_id }))
  await missing("another workspace's device", 'device_not_found', () => devices.get({ device_id }))
  await missing("deactivating another workspace's phone", 'device_not_found', () => phones.deactivate({ device_id }))
  await missing(
    "renaming another workspace's device",
    'device_not_found',
    () => devices.update({ device_id, name: 'mine' }),
  )
  await missing(
    "another workspace's user identity",
    'user_identity_not_found',
    () => userIdentities.get({ user_identity_id }),
  )
  await missing("renaming another workspace's user identity", 'user_identity_not_found', () =>
    userIdentities.update({ user_identity_id, full_name: 'Mine' }),
  )
  await missing(
    "deleting another workspace's user identity",
    'user_identity_not_found',
    () => userIdentities.delete({ user_identity_id }),
  )
  await missing("another workspace's event", 'event_not_found', () => events.get({ event_id }))
  await same("another workspace's phone is not listed", false, async () =>
    ids([...(await phones.list()), ...(await devices.list())]).includes(device_id),
  )
  await same(
    "another workspace's phone is not listed by owner",
    [],
    () => phones.list({ owner_user_identity_id: user_identity_id }),
  )
  await same("another workspace's phone is not listed by credential", [], () => phones.list({ acs_credential_id }))
  await same(
    "another workspace's events are not listed",
    [],
    () => events.list({ since: hours(-1), device_id: deactivated_device_id }),
  )
}

async function deactivation(seam, scene) {
  const { device_id, acs_credential_id } = scene.credential
  const event_type = 'phone.deactivated'
  const kept = ids(scene.phones.filter((phone) => phone.device_id !== device_id))
  const { devices, events, phones } = seam
  await same(
    'there is no event before the deactivation',
    [],
    () => events.list({ since: hours(-1), device_id, event_type }),
  )
  await same('a phone is deactivated', undefined, () => phones.deactivate({ device_id }))
  await same('a phone is deactivated again', undefined, () => phones.deactivate({ device_id }))
  await missing('a deactivated phone', 'device_not_found', () => phones.get({ device_id }))
  await missing('a deactivated device', 'device_not_found', () => devices.get({ device_id }))
  await same('the other phones are still listed', kept, async () => ids(await phones.list()))
  await same('the other phones are still listed by owner', kept, async () =>
    ids(await phones.list({ owner_user_identity_id: scene.owner.user_identity_id })),
  )
  await same('the other phones are still listed as devices', kept, async () => ids(await devices.list()))
  await same('the credential of a deactivated phone has no phones', [], () => phones.list({ acs_credential_id }))

  const found = await events.list({ since: hours(-1), device_id, event_type })
  await same('the deactivation has one event', [[event_type, device_id, scene.workspace_id]], () =>
    found.map((event) => [event.event_type, event.device_id, event.workspace_id]),
  )
  const [event] = found
  await same('the event is found between two times', [event], () =>
    events.list({ between: [hours(-1), hours(1)], device_ids: [device_id], event_types: [event_type] }),
  )
  await same('the event is found by two phones', [event], () =>
    events.list({ since: hours(-1), device_ids: [device_id, kept[0]], event_types: [event_type] }),
  )
  await same(
    'the event is not found between other times',
    [],
    () => events.list({ between: [hours(-3), hours(-2)], device_id }),
  )
  await same(
    'the event is not found by another phone',
    [],
    () => events.list({ since: hours(-1), device_id: kept[0], event_type }),
  )
  await same(
    'a list of events has at most the requested length',
    1,
    async () => (await events.list({ since: hours(-1), event_type, limit: 1 })).length,
  )
  await same('the event is returned by its id', event, () => events.get({ event_id: event.event_id }))
  await same('the event is returned by phone and type', event, () => events.get({ device_id, event_type }))
}

async function webhooks(seam, scene) {
  const receiver = createServer().listen(0, '127.0.0.1')
  await once(receiver, 'listening')
  const delivery = once(receiver, 'request', { signal: AbortSignal.timeout(60_000) })
  const url = `http://127.0.0.1:${receiver.address().port}/seam`
  const webhook = await seam.webhooks.create({ url, event_types: ['phone.deactivated'] })
  await same('a webhook is created', [url, ['phone.deactivated']], () => [webhook.url, webhook.event_types])
  await same("the secret has Svix's format", 'whsec_', () => webhook.secret.slice(0, 6))
  const { device_id } = scene.phones[1]
  await seam.phones.deactivate({ device_id })
  const [request, response] = await delivery
  const body = await text(request)
  response.end()
  receiver.close()

  const verifier = new SeamWebhook(webhook.secret)
  const event = verifier.verify(body, request.headers)
  await same("the client's verifier accepts the delivery", device_id, () => event.device_id)
  // Deliveries contain no data that may be personal, such as custom metadata.
  const { device_custom_metadata: metadata, ...found } = await seam.events.get({
    device_id,
    event_type: 'phone.deactivated',
  })
  await same("the event has the phone's metadata", { site: 'B' }, () => metadata)
  await same('the delivery has the event', event, () => found)
  await same("the client's verifier refuses a changed delivery", true, () => {
    try {
      verifier.verify(body.replace(device_id, nobody()), request.headers)
    } catch (error) {
      return error instanceof SeamWebhookVerificationError
    }
  })
}

const scene = JSON.parse(await text(process.stdin))
const seam = new SeamHttp({ apiKey: scene.key })
const sections = [workspace, personalAccessTokens, phones, credentialServices, refusals]
sections.push(devices, userIdentities, sandboxPhones, isolation, deactivation)
if (scene.webhooks) sections.push(webhooks)
for (const section of sections) {
  try {
    await section(seam, scene)
  } catch (fault) {
    // The rest of the section was not checked.
    await same(`${section.name} is completed`, 'to the end', () => `${fault}`)
  }
}
process.exitCode = failed > 0 ? 1 : 0
