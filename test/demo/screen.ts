import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Writes for a person: colours and a redrawn block on a terminal, plain lines elsewhere. */
export class Screen {
  readonly #isTerminal = process.stdout.isTTY === true
  #drawnLines = 0
  #lastBlock = ''

  paint(style: Style, text: string): string {
    return this.#isTerminal ? styleText(style, text) : text
  }

  line(text = ''): void {
    this.#drawnLines = 0
    process.stdout.write(`${text}\n`)
  }

  heading(text: string): void {
    this.line()
    this.line(this.paint('bold', text))
  }

  /** Draws lines in the place of the block drawn before; elsewhere than on a terminal only the last state counts. */
  redraw(lines: readonly string[]): void {
    const block = lines.map((line) => `${line}\n`).join('')
    this.#lastBlock = block
    if (!this.#isTerminal) return
    const up = this.#drawnLines > 0 ? `\u001b[${this.#drawnLines}A\u001b[0J` : ''
    process.stdout.write(up + block)
    this.#drawnLines = lines.length
  }

  /** The block stays as it is. */
  keep(): void {
    if (!this.#isTerminal) process.stdout.write(this.#lastBlock)
    this.#drawnLines = 0
  }

  write(text: string): void {
    process.stdout.write(text)
  }

  bar(share: number, width = 20): string {
    const full = Math.round(Math.min(1, Math.max(0, share)) * width)
    return '█'.repeat(full) + '░'.repeat(width - full)
  }
}
