/** Numbers, times and elements, as the rest of the browser's script uses them. */
export const FORMAT = String.raw`
const byId = (id) => document.getElementById(id)

/** An element with text in it; lists of elements go in as they are. */
function element(name, className, content) {
  const made = document.createElement(name)
  if (className) made.className = className
  if (Array.isArray(content)) made.append(...content)
  else made.textContent = content
  return made
}

/** Sets a text only where it differs, so that screen readers speak of changes alone. */
function setText(target, text) {
  if (target.textContent !== text) target.textContent = text
}

const shown = new WeakMap()

/** Makes the content of an element anew only where its value has changed, so that focus and selection stay. */
function refresh(target, value, make) {
  const signature = JSON.stringify(value)
  if (shown.get(target) === signature) return
  shown.set(target, signature)
  target.replaceChildren(...value.map(make))
}

// Made once: making them is what costs when a large fleet is shown.
const wholeNumbers = new Intl.NumberFormat()
const threeDigits = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 })
const count = (value) => wholeNumbers.format(value)
const significant = (value) => threeDigits.format(value)
const clock = (time) => new Date(time).toLocaleTimeString()
const plural = (value, one, many) => count(value) + ' ' + (value === 1 ? one : many)

function duration(seconds) {
  if (seconds === 0) return '–'
  return seconds < 1 ? significant(seconds * 1000) + ' ms' : significant(seconds) + ' s'
}

function longDuration(seconds) {
  const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]
  const [name, size] = units.find((unit) => seconds >= unit[1]) ?? units[3]
  return plural(Math.floor(seconds / size), name, name + 's')
}

function bytes(value) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = value < 1 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10))
  return significant(value / 1024 ** power) + ' ' + units[power]
}
`
