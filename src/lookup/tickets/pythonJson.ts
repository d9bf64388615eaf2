/*
 * How Python's `json` module writes what it has read from JSON. A ticket's signature is over such text, made by the
 * worker from the ticket that a client hands it.
 */

/** Python's floats are written with an exponent from here on (`float.__repr__`: precision 17, shortest digits). */
const FIRST_LARGE_EXPONENT = 16
const LAST_SMALL_EXPONENT = -5

/**
 * A JSON number as `json.dumps(json.loads(spelling))` writes it: an integer (no point, no exponent) keeps all its
 * digits, everything else becomes a double in its shortest form.
 */
export function pythonNumber(spelling: string): string {
  if (/^-?\d+$/.test(spelling)) return spelling === '-0' ? '0' : spelling
  return pythonFloat(Number(spelling))
}

/** `repr(float)`, and the names that Python's json gives to what JSON has no numbers for. */
function pythonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  const sign = value < 0 || Object.is(value, -0) ? '-' : ''
  // The shortest digits that read back as the same double: the one thing in which both languages agree.
  const [mantissa, exponentText] = Math.abs(value).toExponential().split('e') as [string, string]
  const digits = mantissa.replace('.', '')
  const exponent = Number(exponentText)
  const isScientific = exponent >= FIRST_LARGE_EXPONENT || exponent <= LAST_SMALL_EXPONENT
  return sign + (isScientific ? scientific(digits, exponent) : positional(digits, exponent))
}

/** Two digits of exponent at least: 1e-07, 1.5e+16. */
function scientific(digits: string, exponent: number): string {
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ''
  const size = String(Math.abs(exponent)).padStart(2, '0')
  return `${digits[0]}${fraction}e${exponent < 0 ? '-' : '+'}${size}`
}

/** One digit at least on either side of the point: 0.5, 3.0. */
function positional(digits: string, exponent: number): string {
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  return `${whole}.${digits.slice(exponent + 1) || '0'}`
}

/** A string as `json.dumps` writes it: everything outside printable ASCII is escaped, UTF-16 unit by unit. */
export function pythonString(text: string): string {
  return JSON.stringify(text).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
