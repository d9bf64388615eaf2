/** The button that drains a node, or gives it work again. */

import { element } from './format.ts'

/** A node's name, and whether it is drained by now. */
export interface DrainAction {
  readonly name: string
  readonly drain: string | null
}

/**
 * The browser adds the password with which it opened the page, and says that the page sent the request: the gateway accepts it from
 * no other page.
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
    const answer = await fetch('/admin/nodes/' + encodeURIComponent(name) + '/' + command, { method: 'POST' })
    // The next figures show what has become of it.
    if (answer.ok) return
    const { error } = (await answer.json()) as { error?: string }
    alert(error ?? 'The gateway answered ' + String(answer.status))
  } catch {
    alert('The gateway cannot be reached')
  } finally {
    button.disabled = false
  }
}
