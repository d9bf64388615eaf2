import { bare } from './bare.ts'
import { caddy } from './caddy.ts'
import type { Contender } from './contender.ts'
import { gatewayWith } from './gateway.ts'
import { haproxy } from './haproxy.ts'
import { nginx } from './nginx.ts'
import { stock } from './stock.ts'

export { stock }

/** Everything that can be measured, by the name that `--only` takes. */
export const CONTENDERS: Readonly<Record<string, Contender>> = {
  sqlite: gatewayWith('sqlite'),
  memory: gatewayWith('memory'),
  bare,
  stock,
  caddy,
  nginx,
  haproxy,
}
