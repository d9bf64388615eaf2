import { stripVTControlCharacters, styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Where a screen writes: standard output, or what a test puts in its place. */
export interface Output {
  readonly isTTY?: boolean
  /** The size of a terminal, in cells. It changes when the window does. */
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

interface Size {
  readonly columns: number
  readonly rows: number
}

/** The size of a terminal that does not tell its own. */
const USUAL_SIZE: Size = { columns: 80, rows: 24 }

// eslint-disable-next-line no-control-regex -- escape sequences begin with a control character
const ESCAPE_OR_CHARACTER = /\u001b\[[\d;]*[A-Za-z]|./gsu
/** To the top left corner, then clears what is visible: what scrolled out of sight stays. */
const CLEAR = '\u001b[H\u001b[2J'

/** Writes for a person: colours and a redrawn block on a terminal, plain lines elsewhere. */
export class Screen {
  readonly #output: Output
  readonly #isTerminal: boolean
  /** All lines before the block, to paint them again where a new size of the window has moved them. */
  readonly #lines: string[] = []
  #block: readonly string[] = []
  #drawnRows = 0
  #drawnAt: Size | undefined

  constructor(output: Output) {
    this.#output = output
    this.#isTerminal = output.isTTY === true
  }

  paint(style: Style, text: string): string {
    return this.#isTerminal ? styleText(style, text, { validateStream: false }) : text
  }

  line(text = ''): void {
    this.#lines.push(text)
    this.write(`${text}\n`)
  }

  heading(text: string): void {
    this.line()
    this.line(this.paint('bold', text))
  }

  /**
   * Draws lines in the place of the block drawn before, cut to the width of the terminal, since a line that wraps would leave a
   * row behind. Elsewhere than on a terminal only the last state counts.
   */
  redraw(lines: readonly string[]): void {
    this.#block = lines
    if (!this.#isTerminal) return
    const { columns, rows } = this.#size()
    // A row that has scrolled out of sight cannot be drawn again. The last row of the terminal is the cursor's.
    const shown = lines.slice(-(rows - 1)).map((line) => cut(line, columns - 1))
    const isResized = this.#drawnAt && (this.#drawnAt.columns !== columns || this.#drawnAt.rows !== rows)
    // Terminals differ in whether they wrap anew what was there, so the cursor may be anywhere.
    if (isResized) this.write(CLEAR + this.#linesFor({ columns, rows: rows - 1 - shown.length }))
    else if (this.#drawnRows > 0) this.write(`\u001b[${this.#drawnRows}A\u001b[0J`)
    this.write(shown.map((line) => `${line}\n`).join(''))
    this.#drawnRows = shown.length
    this.#drawnAt = { columns, rows }
  }

  /** The block stays as it is. */
  keep(): void {
    if (!this.#isTerminal) this.write(this.#block.map((line) => `${line}\n`).join(''))
    this.#lines.push(...this.#block)
    this.#block = []
    this.#drawnRows = 0
    this.#drawnAt = undefined
  }

  write(text: string): void {
    this.#output.write(text)
  }

  bar(share: number, width = 20): string {
    const full = Math.round(Math.min(1, Math.max(0, share)) * width)
    return '█'.repeat(full) + '░'.repeat(width - full)
  }

  #size(): Size {
    return { columns: this.#output.columns || USUAL_SIZE.columns, rows: this.#output.rows || USUAL_SIZE.rows }
  }

  /** The last lines before the block that fit into so many rows, with line ends. */
  #linesFor({ columns, rows }: Size): string {
    let first = this.#lines.length
    for (let left = rows; first > 0; first--) {
      left -= rowsOf(this.#lines[first - 1]!, columns)
      if (left < 0) break
    }
    return this.#lines
      .slice(first)
      .map((line) => `${line}\n`)
      .join('')
  }
}

/** The beginning of a line that fills at most so many cells, with all its colours, so that the last one ends it. */
function cut(line: string, columns: number): string {
  let left = columns
  return line.replace(ESCAPE_OR_CHARACTER, (token) => (token.startsWith('\u001b') || left-- > 0 ? token : ''))
}

/** Rows that a terminal needs for a line. All that the demo writes is one cell a character. */
function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil([...stripVTControlCharacters(line)].length / columns))
}
