import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'

const FOLDER = new URL('page/', import.meta.url)

/** The build compiles the browser's modules; run from sources, they are TypeScript as we are. */
const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

export interface Page {
  /** With script and style in it: nothing else is loaded. */
  readonly html: string
  readonly script: string
  readonly style: string
}

/** Puts the files of `page/` together. There is no data in the page; its script fetches that. */
export function assemblePage(): Page {
  const style = `\n${read('style.css')}`
  let script = ''
  const html = read('page.html')
    .replace('<link rel="stylesheet" href="style.css" />', () => `<style>${style}</style>`)
    .replace(/<script type="module" src="(\w+)\.ts"><\/script>/, (_tag, entry: string) => {
      script = `\n${inOneModule(entry)}`
      return `<script type="module">${script}</script>`
    })
  return { html, script, style }
}

/** An import as the page's modules write it, names only, from a neighbour; the compiler uses double quotes and a semicolon. */
const IMPORT = /^import \{[^}]*\} from ['"]\.\/(\w+)\.[jt]s['"];?\n/gm

/** A module after the modules that it imports, each once. They share one scope, so no two may declare the same name. */
function inOneModule(name: string, included = new Set<string>()): string {
  included.add(name)
  let before = ''
  const own = javaScriptOf(name + EXTENSION)
    .replace(IMPORT, (_line, neighbour: string) => {
      if (!included.has(neighbour)) before += inOneModule(neighbour, included)
      return ''
    })
    .replace(/^export /gm, '')
  return before + own
}

function javaScriptOf(file: string): string {
  const source = read(file)
  if (EXTENSION === '.js') return source
  // It warns of being experimental, although Node strips the gateway's own sources in the same way, without a warning.
  // eslint-disable-next-line @typescript-eslint/unbound-method -- it is put back, not called
  const { emitWarning } = process
  process.emitWarning = () => {}
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emitWarning
  }
}

function read(file: string): string {
  return readFileSync(new URL(file, FOLDER), 'utf8')
}
