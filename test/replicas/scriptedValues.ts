import type { SharedValues } from '../../src/replicas/index.ts'

/** A store of small values in this process, that is away or silent on command. Nothing in it expires. */
export class ScriptedValues implements SharedValues {
  readonly kept = new Map<string, Buffer>()
  isAway = false
  /** Calls are never answered. */
  isSilent = false
  calls = 0

  async get(name: string, key: string): Promise<Buffer | undefined> {
    await this.#answer()
    return this.kept.get(`${name}:${key}`)
  }

  async set(name: string, key: string, value: Buffer | string): Promise<void> {
    await this.#answer()
    this.kept.set(`${name}:${key}`, Buffer.from(value as string))
  }

  async delete(name: string, key: string): Promise<void> {
    await this.#answer()
    this.kept.delete(`${name}:${key}`)
  }

  async setOnce(name: string, key: string, value: string): Promise<string> {
    await this.#answer()
    const standing = this.kept.get(`${name}:${key}`)
    if (!standing) this.kept.set(`${name}:${key}`, Buffer.from(value))
    return standing?.toString() ?? value
  }

  async #answer(): Promise<void> {
    this.calls++
    if (this.isAway) throw Object.assign(new Error('away'), { code: 'AWAY' })
    if (this.isSilent) await new Promise(() => undefined)
  }
}
