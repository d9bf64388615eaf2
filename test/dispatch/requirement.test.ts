import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  ANY_NODE,
  CHAIN_NODE,
  requireContainers,
  requireModel,
  type Requirement,
} from '../../src/dispatch/requirement.ts'
import type { TrackedNode } from '../../src/fleet/node.ts'
import { setContainers, trackedNode, trackedService } from '../kit/builders/fleets.ts'
import { containerOf, infoOf } from '../kit/builders/infos.ts'

/** A node that runs these; a `*` before the name makes the container an inner one. */
function node(names: readonly string[], { chain = false } = {}): TrackedNode {
  const tracked = trackedNode('10.0.0.1:4000')
  const containers = names.map((name) => containerOf({ id: name.replace('*', ''), external: !name.startsWith('*') }))
  tracked.info = infoOf({ containers, chain: { enabled: chain, address: '' } })
  setContainers(tracked, containers)
  return tracked
}

const service = (...models: string[]): TrackedNode => trackedService(models)

describe('a node fits', () => {
  for (const [wanted, names, fits] of [
    [['a'], ['a'], true],
    [['a'], ['b', 'a'], true],
    [['a', 'b'], ['a', 'b'], true],
    [['a', 'b'], ['b', 'a', 'c'], true],
    [['a', 'b'], ['a'], false],
    [['a'], [], false],
    [['a'], ['*a'], false],
    [['a', 'b'], ['a', '*b'], true],
    [['b', 'a'], ['a', '*b'], false],
  ] as const) {
    test(`${wanted.join(', then ')} ${fits ? '' : 'not '}where it runs ${names.join(' and ') || 'nothing'}`, () => {
      assert.equal(requireContainers(wanted).fits(node(names)), fits)
    })
  }

  test('no submission without containers, for no job begins with none', () => {
    assert.equal(requireContainers([]).fits(node(['a'])), false)
  })

  test('a subscription where its chain is enabled', () => {
    assert.equal(CHAIN_NODE.fits(node(['a'], { chain: true })), true)
    assert.equal(CHAIN_NODE.fits(node(['a'])), false)
  })

  test('a model only as a service, anything else only as a node', () => {
    assert.equal(requireModel('a').fits(service('a')), true)
    assert.equal(requireModel('a').fits(service('b')), false)
    assert.equal(requireModel('a').fits(node(['a'])), false)
    for (const requirement of [ANY_NODE, CHAIN_NODE, requireContainers(['a'])])
      assert.equal(requirement.fits(service('a')), false)
  })
})

test('needs with one key are one need, whatever containers are called', () => {
  const keys = [['a', 'b'], ['a\nb'], ['a,b'], ['b', 'a'], ['a'], ['"a","b"'], ['a', 'b', '']].map(
    (containers): Requirement => requireContainers(containers),
  )
  assert.equal(new Set(keys.map(({ key }) => key)).size, keys.length)
  assert.equal(requireContainers(['a', 'b']).key, keys[0]?.key)
  assert.notEqual(requireModel('a').key, requireContainers(['a']).key)
})
