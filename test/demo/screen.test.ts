import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TerminalScreen, type TerminalSize } from '../kit/terminalScreen.ts'
import { Screen, type Output } from './screen.ts'

/** A terminal as the demo has it for its output. */
class Window implements Output {
  readonly isTTY = true
  columns: number
  rows: number
  readonly #screen: TerminalScreen

  constructor(size: TerminalSize, wrapsAnew: boolean) {
    this.columns = size.columns
    this.rows = size.rows
    this.#screen = new TerminalScreen(size, { wrapsAnew })
  }

  write(text: string): void {
    this.#screen.write(text)
  }

  resize(size: TerminalSize): void {
    this.columns = size.columns
    this.rows = size.rows
    this.#screen.resize(size)
  }

  get visible(): string[] {
    return this.#screen.visible.filter((row) => row !== '')
  }
}

const SMALL = { columns: 20, rows: 8 }
/** Rows of 30 cells, in colour. */
const wide = (state: string): string[] => ['one', 'two', 'three'].map((name) => `${name} ${state}`.padEnd(30, '.'))

for (const wrapsAnew of [false, true]) {
  describe(`on a terminal that ${wrapsAnew ? 'wraps lines anew' : 'leaves lines as they are'} when its size changes`, () => {
    const open = (size: TerminalSize = SMALL) => {
      const window = new Window(size, wrapsAnew)
      return { window, screen: new Screen(window) }
    }

    test('rows that are too wide are cut, so that each is there once after a redraw', () => {
      const { window, screen } = open()
      screen.line('before')
      for (const state of ['a', 'b', 'c']) screen.redraw(wide(state).map((row) => screen.paint('green', row)))
      screen.keep()
      screen.line('after')
      assert.deepEqual(window.visible, ['before', ...wide('c').map((row) => row.slice(0, 19)), 'after'])
    })

    for (const columns of [12, 50]) {
      test(`a width of ${columns} instead of 20 leaves no copies, and shows what was before the rows`, () => {
        const { window, screen } = open()
        screen.line('before')
        screen.redraw(wide('a'))
        window.resize({ columns, rows: 8 })
        screen.redraw(wide('b'))
        screen.redraw(wide('c'))
        assert.deepEqual(window.visible, ['before', ...wide('c').map((row) => row.slice(0, columns - 1))])
      })
    }

    test('a height of fewer rows than there are shows the last ones, each once', () => {
      const { window, screen } = open({ columns: 20, rows: 3 })
      screen.line('before')
      for (const state of ['a', 'b', 'c']) screen.redraw([...wide(state), `four ${state}`])
      assert.deepEqual(window.visible, ['three c............', 'four c'])
    })
  })
}

test('elsewhere than on a terminal there are no escape codes, and only the last state of a block, uncut', () => {
  let written = ''
  const screen = new Screen({ columns: 20, write: (text) => (written += text) })
  screen.heading('title')
  screen.redraw(wide('a'))
  screen.redraw(wide(screen.paint('red', 'b')))
  screen.keep()
  assert.equal(written, `\ntitle\n${wide('b').join('\n')}\n`)
})
