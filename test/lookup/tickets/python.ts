import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'

const REWRITE_SCRIPT = `
import json, sys
print(json.dumps([json.dumps(json.loads(document)) for document in json.load(sys.stdin)]))
`

const PICK_SCRIPT = `
import json, sys
answers = json.load(sys.stdin)
def signed(answer):
    read = json.loads(answer)
    if "request_idx" in read:
        return json.dumps({"url": read["url"]}, indent=4, sort_keys=True)
    return json.dumps({name: read[name] for name in ("cost", "endpoint", "reqnum", "url")}, indent=4)
print(json.dumps([signed(answer) for answer in answers]))
`

/** What Python's json makes of each JSON text after reading it; undefined where the machine has no python3. */
export function pythonRewrites(documents: readonly string[]): Promise<string[] | undefined> {
  return runPython(REWRITE_SCRIPT, documents)
}

/** The text that a Python worker checks the signature of each answer against; undefined without python3. */
export function pythonSigningTexts(answers: readonly string[]): Promise<string[] | undefined> {
  return runPython(PICK_SCRIPT, answers)
}

async function runPython(script: string, input: readonly unknown[]): Promise<string[] | undefined> {
  const child = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const isThere = new Promise<boolean>((resolve) => {
    child.once('spawn', () => resolve(true))
    child.once('error', () => resolve(false))
  })
  if (!(await isThere)) return undefined
  child.stdin.end(JSON.stringify(input))
  return JSON.parse(await text(child.stdout)) as string[]
}
