/** On narrow screens the rows of tables become cards: those of the widest table earlier. */

import { byId } from './format.ts'

const NARROW = '(max-width: 48rem)'
const TOO_NARROW_FOR_NODES = '(max-width: 78rem)'

function follow(query: string, elements: readonly Element[]): void {
  const media = matchMedia(query)
  const apply = (): void => elements.forEach((one) => one.classList.toggle('as-cards', media.matches))
  media.addEventListener('change', apply)
  apply()
}

export function followWidth(): void {
  const nodes = byId('scroll')
  follow(TOO_NARROW_FOR_NODES, [nodes, byId('controls')])
  follow(
    NARROW,
    [...document.querySelectorAll('.scroll')].filter((one) => one !== nodes),
  )
}
