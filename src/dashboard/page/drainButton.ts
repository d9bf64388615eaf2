/** The button that drains a node, or gives it work again. */

import { ask } from './ask.ts'
import { element } from './format.ts'

/** A node's name, and whether it is drained by now. */
export interface DrainAction {
  readonly name: string
  readonly drain: string | null
}

/**
 * Without a key of the page's form the browser adds the password with which it opened the page, and says that the page sent the
 * request: the gateway accepts it from no other page.
 */
export function drainButton({ name, drain }: DrainAction): HTMLButtonElement {
  const [label, command] = drain === null ? ['Drain', 'drain'] : ['Undrain', 'undrain']
  const button = element('button', '', label)
  button.type = 'button'
  button.setAttribute('aria-label', label + ' ' + name)
  button.addEventListener('click', () => {
    const question = command === 'drain' ? 'Give ' + name + ' no new work? What it has is followed to its end.' : ''
    if (question === '' || confirm(question)) void send(button, name, command)
  })
  return button
}

async function send(button: HTMLButtonElement, name: string, command: string): Promise<void> {
  button.disabled = true
  try {
    const path = 'admin/nodes/' + encodeURIComponent(name) + '/' + command
    const { status, body } = await ask<{ error?: string }>(path, 'POST')
    // The next figures show what has become of it.
    if (status !== 200) alert(body.error ?? 'The gateway answered ' + String(status))
  } catch (error) {
    alert(error instanceof Error ? error.message : String(error))
  } finally {
    button.disabled = false
  }
}
