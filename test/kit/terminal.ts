/** A program on a pseudo-terminal, of Python's. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { TerminalScreen, type TerminalSize } from './terminalScreen.ts'
import { eventually, within, type Cleanup } from './wait.ts'

/**
 * Passes on what the program writes. Reads commands, one a line: the new size, as `80x24`, or `interrupt` for Ctrl-C. The terminal is
 * closed when its input ends. Ends with the program, as it ended.
 */
const PYTHON = `
import fcntl, os, pty, select, struct, sys, termios
def resize(file, text):
    columns, rows = map(int, text.split('x'))
    fcntl.ioctl(file, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
pid, terminal = pty.fork()
if pid == 0:
    resize(0, sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])
print(pid, file=sys.stderr, flush=True)
while True:
    ready, _, _ = select.select([terminal, 0], [], [])
    if terminal in ready:
        try: output = os.read(terminal, 65536)
        except OSError: break
        if not output: break
        os.write(1, output)
    elif 0 in ready:
        line = sys.stdin.buffer.raw.readline().decode().strip()
        if line == '': break
        elif line == 'interrupt': os.write(terminal, b'\\x03')
        else: resize(terminal, line)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

export interface Terminal {
  /** The session of the program and of all that it started. */
  readonly session: number
  /** The rows in sight when one of them matched at first. */
  whenShown(pattern: RegExp, withinMs?: number): Promise<string[]>
  resize(size: TerminalSize): void
  /** Ctrl-C. */
  interrupt(): void
  /** As when its window is closed. */
  close(): void
  /** The exit code of the program; negative: the signal that ended it. */
  readonly exit: Promise<number>
}

export interface TerminalOptions extends TerminalSize {
  readonly command: readonly [string, ...string[]]
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Starts a program on a terminal of this size. */
export async function openTerminal(t: Cleanup, options: TerminalOptions): Promise<Terminal> {
  const { command, columns, rows, cwd, env } = options
  const sizeText = (size: TerminalSize): string => `${size.columns}x${size.rows}`
  const child = spawn('python3', ['-c', PYTHON, sizeText({ columns, rows }), ...command], { cwd, env })
  t.after(() => child.kill('SIGKILL'))
  const looks = new Set<() => void>()
  const screen = new TerminalScreen({ columns, rows }, { onRow: () => looks.forEach((look) => look()) })
  // A terminal's lines end with both, of which the screen needs one.
  child.stdout.setEncoding('utf8').on('data', (text: string) => screen.write(text.replaceAll('\r\n', '\n')))
  const exit = once(child, 'close').then(([code]) => code as number)
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const [, session] = await eventually(() => /^(\d+)\n/.exec(errors))
  return {
    session: Number(session),
    whenShown: (pattern, withinMs = 60_000) => {
      const shown = new Promise<string[]>((resolve) => {
        const look = (): void => {
          const { visible } = screen
          if (!visible.some((row) => pattern.test(row))) return
          looks.delete(look)
          resolve(visible)
        }
        looks.add(look)
        look()
      })
      return within(shown, withinMs, () => `${pattern} on the terminal, which shows:\n${screen.visible.join('\n')}`)
    },
    resize: (size) => {
      screen.resize(size)
      child.stdin.write(`${sizeText(size)}\n`)
    },
    interrupt: () => void child.stdin.write('interrupt\n'),
    close: () => void child.stdin.end(),
    exit,
  }
}
