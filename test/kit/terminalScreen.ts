/** What a terminal shows after some output: the few escape sequences that programs of this project use, wrapping and scrolling. */

interface Row {
  text: string[]
  /** Goes on in the next row, since it was too long for one. */
  isWrapped: boolean
}

export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

export class TerminalScreen {
  /** Rows that have scrolled out of sight first, then those in sight. */
  #rows: Row[] = [{ text: [], isWrapped: false }]
  #size: TerminalSize
  /** The cursor, counted from the first row of all; the column may be one beyond the last, until the next character comes. */
  #row = 0
  #column = 0
  /** An escape sequence that is not complete yet. */
  #pending = ''
  readonly #wrapsAnew: boolean
  readonly #onRow: (() => void) | undefined

  /** `wrapsAnew`: long lines are wrapped again when the width changes, as some terminals do. `onRow` is called after each line end. */
  constructor(size: TerminalSize, { wrapsAnew = false, onRow }: { wrapsAnew?: boolean; onRow?: () => void } = {}) {
    this.#size = size
    this.#wrapsAnew = wrapsAnew
    this.#onRow = onRow
  }

  /** The rows in sight, without white space at their ends. */
  get visible(): string[] {
    return this.#rows.slice(this.#top).map(({ text }) => text.join('').trimEnd())
  }

  get #top(): number {
    return Math.max(0, this.#rows.length - this.#size.rows)
  }

  write(output: string): void {
    for (const character of output) {
      this.#pending += character
      if (this.#pending.startsWith('\u001b')) {
        // eslint-disable-next-line no-control-regex -- escape sequences begin with a control character
        const [, parameter = '', command] = /^\u001b\[([\d;?]*)([A-Za-z])$/.exec(this.#pending) ?? []
        if (command === undefined) continue
        this.#obey(command, parameter)
      } else if (character === '\n') {
        this.#lineFeed()
        this.#onRow?.()
      } else if (character === '\r') this.#column = 0
      else this.#put(character)
      this.#pending = ''
    }
  }

  resize(size: TerminalSize): void {
    this.#size = size
    if (this.#wrapsAnew) this.#wrapAnew()
  }

  #obey(command: string, parameter: string): void {
    if (command === 'A') this.#row = Math.max(this.#top, this.#row - Number(parameter || 1))
    else if (command === 'H' && parameter === '') [this.#row, this.#column] = [this.#top, 0]
    else if (command === 'J') this.#clear(parameter === '2' ? this.#top : this.#row)
    else if (command !== 'm') throw new Error(`this terminal knows no CSI ${parameter}${command}`)
  }

  /** From the beginning of a row to the end. The cursor stays, and so do the rows in sight. */
  #clear(from: number): void {
    for (let row = from; row < this.#rows.length; row++) this.#rows[row] = { text: [], isWrapped: false }
  }

  #put(character: string): void {
    if (this.#column >= this.#size.columns) {
      this.#rows[this.#row]!.isWrapped = true
      this.#lineFeed()
    }
    this.#rows[this.#row]!.text[this.#column++] = character
  }

  /** A line feed as programs see it, whose line ends the system turns into a carriage return and a line feed. */
  #lineFeed(): void {
    this.#row++
    this.#column = 0
    if (this.#row === this.#rows.length) this.#rows.push({ text: [], isWrapped: false })
  }

  /** The cursor is taken to be in the last row, where programs that write line by line have it. */
  #wrapAnew(): void {
    const lines: string[][] = []
    let isContinued = false
    for (const { text, isWrapped } of this.#rows) {
      if (isContinued) lines.at(-1)!.push(...text)
      else lines.push([...text])
      isContinued = isWrapped
    }
    const { columns } = this.#size
    this.#rows = lines.flatMap((text) => {
      const count = Math.max(1, Math.ceil(text.length / columns))
      return Array.from({ length: count }, (_, i) => ({
        text: text.slice(i * columns, (i + 1) * columns),
        isWrapped: i < count - 1,
      }))
    })
    this.#row = this.#rows.length - 1
  }
}
