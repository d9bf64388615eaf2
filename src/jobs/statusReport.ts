import { inTurns } from '../base/index.ts'
import { GatewayFault } from '../faults.ts'
import { memberOf, objectSteps, splice, stringAt, type JsonMember } from '../json/index.ts'
import { badJson } from './shape.ts'

/** The id in a report, and where it stands. */
interface ReportedId {
  readonly text: string
  readonly span: JsonMember
}

/** The body of a report, with another id: the job may run under that one at its node. */
export function withId(body: Buffer, { span }: ReportedId, id: string): Buffer {
  return splice(body, span, Buffer.from(JSON.stringify(id)))
}

/** @throws GatewayFault for what is no object with an id */
export async function readStatus(body: Buffer): Promise<{ id: ReportedId; members: readonly JsonMember[] }> {
  let members: JsonMember[]
  try {
    members = await inTurns(objectSteps(body))
  } catch (error) {
    throw badJson(error)
  }
  const span = memberOf(members, 'id')
  if (span?.kind !== 'string') throw new GatewayFault('ERR_BAD_SHAPE', 'id must be a string')
  if (members.filter((member) => member.name === 'id').length > 1)
    throw new GatewayFault('ERR_BAD_SHAPE', 'id is named twice')
  return { id: { text: stringAt(body, span), span }, members }
}

/** @throws GatewayFault for what is not `{"id", "status", "containers", …}` */
export function checkStatus(members: readonly JsonMember[]): void {
  if (members.some((member) => member.name === 'ip')) throw new GatewayFault('ERR_BAD_SHAPE', 'ip is not allowed')
  if (memberOf(members, 'status')?.kind !== 'string') throw new GatewayFault('ERR_BAD_SHAPE', 'status must be a string')
  if (memberOf(members, 'containers')?.kind !== 'array')
    throw new GatewayFault('ERR_BAD_SHAPE', 'containers must be a list')
}
