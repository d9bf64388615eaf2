import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { InfoShapeError } from '../../src/fleet/info.ts'
import { containerOf, infoOf, readInfo } from '../kit/builders/infos.ts'

const container = containerOf({ description: 'says it again' })
const info = infoOf({
  containers: [container, containerOf({ id: 'inner', external: false, image: 'example/inner:2' })],
  pending: { offchain: 3, onchain: 1 },
  chain: { enabled: true, address: '0xabc' },
})

describe('/info', () => {
  test("of a node is read as it is, and what is not a node's is dropped", () => {
    assert.deepEqual(readInfo({ ...info, uptime: 7 }), info)
  })

  test('may leave out, or set to null, what routing does not rest on', () => {
    const bare = { containers: [{ id: 'echo', image: null }], pending: { offchain: 0, onchain: 0 } }
    assert.deepEqual(readInfo(bare), {
      ...infoOf({ version: '', containers: [containerOf({ image: '' })] }),
    })
  })

  for (const [what, members] of [
    ['no pending', { pending: undefined }],
    ['null for pending', { pending: null }],
    ['an empty pending', { pending: {} }],
    ['nulls in pending', { pending: { offchain: null, onchain: null } }],
    ['half of pending', { pending: { onchain: 0 } }],
  ] as const) {
    test(`with ${what} has nothing pending`, () => {
      assert.deepEqual(readInfo({ ...info, ...members }), { ...info, pending: { offchain: 0, onchain: 0 } })
    })
  }

  test('with null for the chain has none', () => {
    assert.deepEqual(readInfo({ ...info, chain: null }), { ...info, chain: { enabled: false, address: '' } })
  })

  test('may list no container', () => {
    assert.deepEqual(readInfo({ ...info, containers: [] }).containers, [])
  })

  for (const [what, value, named] of [
    ['null', null, 'answer'],
    ['a list', [], 'answer'],
    ['a text', 'fine', 'answer'],
    ['nothing', {}, 'containers'],
    ['no list of containers', { ...info, containers: undefined }, 'containers'],
    ['containers by name', { ...info, containers: { echo: container } }, 'containers'],
    ['containers as texts', { ...info, containers: ['echo'] }, 'container'],
    ['a container without an id', { ...info, containers: [{ ...container, id: undefined }] }, 'id'],
    ['a container with an empty id', { ...info, containers: [{ ...container, id: '' }] }, 'id'],
    ['a container with a number for an id', { ...info, containers: [{ ...container, id: 7 }] }, 'id'],
    ['external that is a text', { ...info, containers: [{ ...container, external: 'yes' }] }, 'external'],
    ['pending as one number', { ...info, pending: 3 }, 'pending'],
    ['negative pending', { ...info, pending: { offchain: -1, onchain: 0 } }, 'pending.offchain'],
    ['fractional pending', { ...info, pending: { offchain: 0.5, onchain: 0 } }, 'pending.offchain'],
    ['pending as a text', { ...info, pending: { offchain: '3', onchain: 0 } }, 'pending.offchain'],
    ['endless pending', { ...info, pending: { offchain: Infinity, onchain: 0 } }, 'pending.offchain'],
    ['pending beyond exact numbers', { ...info, pending: { offchain: 1e300, onchain: 0 } }, 'pending.offchain'],
    ['a chain that is a text', { ...info, chain: 'yes' }, 'chain'],
    ['chain.enabled that is a number', { ...info, chain: { enabled: 1 } }, 'enabled'],
    ['a version that is a number', { ...info, version: 1.4 }, 'version'],
  ] as const) {
    test(`with ${what} is not a node's, and the error names ${named}`, () => {
      assert.throws(
        () => readInfo(value),
        (error) => error instanceof InfoShapeError && error.message.includes(named),
      )
    })
  }
})
