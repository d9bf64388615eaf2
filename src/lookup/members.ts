import { GatewayFault } from '../faults.ts'
import { JsonSyntaxError, memberOf, scanObject, stringAt, type JsonMember } from '../json/index.ts'

/** A number of a body. */
interface NumberMember {
  readonly value: number
  /** As it stands in the body. */
  readonly spelling: string
}

/** The members of a short body. @throws GatewayFault ERR_BAD_JSON where it is no JSON object */
export function membersOf(body: Buffer): readonly JsonMember[] {
  try {
    return scanObject(body)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new GatewayFault('ERR_BAD_JSON', `The body is not a JSON object: ${error.message}`, { cause: error })
  }
}

/** A text, or undefined where it is missing or null. @throws GatewayFault ERR_BAD_SHAPE for another type */
export function textIn(body: Buffer, members: readonly JsonMember[], name: string): string | undefined {
  const member = givenMember(members, name)
  if (member && member.kind !== 'string') throw new GatewayFault('ERR_BAD_SHAPE', `${name} must be a string`)
  return member && stringAt(body, member)
}

/** A finite number ≥ 0, or undefined where it is missing or null. @throws GatewayFault ERR_BAD_SHAPE for anything else */
export function numberIn(body: Buffer, members: readonly JsonMember[], name: string): NumberMember | undefined {
  const member = givenMember(members, name)
  if (!member) return undefined
  const spelling = body.toString('latin1', member.start, member.end)
  const value = member.kind === 'number' ? Number(spelling) : NaN
  if (!(value >= 0 && value < Infinity)) throw new GatewayFault('ERR_BAD_SHAPE', `${name} must be a number ≥ 0`)
  return { value, spelling }
}

/** A truth value, or undefined where it is missing or null. @throws GatewayFault ERR_BAD_SHAPE for another type */
export function flagIn(body: Buffer, members: readonly JsonMember[], name: string): boolean | undefined {
  const member = givenMember(members, name)
  if (!member) return undefined
  if (member.kind !== 'boolean') throw new GatewayFault('ERR_BAD_SHAPE', `${name} must be true or false`)
  return body[member.start] === 0x74
}

function givenMember(members: readonly JsonMember[], name: string): JsonMember | undefined {
  const member = memberOf(members, name)
  return member?.kind === 'null' ? undefined : member
}
