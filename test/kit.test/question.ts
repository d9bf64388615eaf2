/** A question to a node with the answer a real one gives, and the containers of the node that is asked. */
import type { ContainerSpec } from '../kit/fakeNode/index.ts'

export interface Question {
  name: string
  method?: string
  path: string
  headers?: Record<string, string>
  body?: string | Buffer
  status: number
  /** The exact body, ids written as `<id>`; or what it must match. */
  answer: string | RegExp
  contentType?: string
  /** Whether it carries the limiter's headers; default true. */
  limited?: boolean
}

export const CONTAINERS: ContainerSpec[] = [
  { id: 'echo', image: 'test/echo:1', description: 'Echo', models: ['m/echo'] },
  { id: 'inner', image: 'test/inner:1', description: 'Inner', external: false },
  { id: 'stream', image: 'test/stream:1', description: 'Stream' },
  { id: 'proof', image: 'test/proof:1', generatesProofs: true },
  { id: 'locked', image: '', allowedIps: ['10.9.9.9'] },
  { id: 'peek', image: '' },
  { id: 'dead', image: '', dead: true },
]
