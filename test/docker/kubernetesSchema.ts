/**
 * What a manifest of docker/kubernetes may hold, by kind: the part of the Kubernetes API (v1, apps/v1, policy/v1,
 * networking.k8s.io/v1) that is used there. Strict, so that a misspelt or misplaced member is found without a cluster.
 */
type Schema = Record<string, unknown>

const text: Schema = { type: 'string', minLength: 1 }
const flag: Schema = { type: 'boolean' }
const count: Schema = { type: 'integer', minimum: 0 }
const texts: Schema = { type: 'object', additionalProperties: { type: 'string' } }
const list = (items: Schema): Schema => ({ type: 'array', minItems: 1, items })
const oneOf = (...values: string[]): Schema => ({ enum: values })
/** These members and no others; all are required but those whose names end in `?`. */
const object = (members: Record<string, Schema>): Schema => {
  const required = Object.keys(members).filter((name) => !name.endsWith('?'))
  const properties = Object.fromEntries(
    Object.entries(members).map(([name, schema]) => [name.replace('?', ''), schema]),
  )
  return { type: 'object', properties, required, additionalProperties: false }
}
const resource = (apiVersion: string, members: Record<string, Schema>): Schema =>
  object({ apiVersion: { const: apiVersion }, kind: text, metadata: object({ name: text }), ...members })

const selector = object({ matchLabels: texts })
/** A number of a port, or the name that the pod gives it. */
const port: Schema = {
  anyOf: [
    { type: 'integer', minimum: 1, maximum: 65_535 },
    { type: 'string', pattern: '^[a-z][a-z0-9-]{0,14}$' },
  ],
}
const quantity: Schema = { type: 'string', pattern: '^\\d+(m|Mi|Gi)?$' }
const claim = object({
  accessModes: list(oneOf('ReadWriteOnce')),
  resources: object({ requests: object({ storage: quantity }) }),
})
const reference = object({ name: text, 'key?': text, 'optional?': flag })

const probe: Schema = {
  ...object({
    'httpGet?': object({ path: { type: 'string', pattern: '^/' }, port }),
    'tcpSocket?': object({ port }),
    'periodSeconds?': count,
    'timeoutSeconds?': count,
    'failureThreshold?': count,
  }),
  oneOf: [{ required: ['httpGet'] }, { required: ['tcpSocket'] }],
}

const container = object({
  name: text,
  image: text,
  'command?': list({ type: 'string' }),
  'ports?': list(object({ name: text, containerPort: port })),
  'env?': list(object({ name: text, 'value?': text, 'valueFrom?': object({ secretKeyRef: reference }) })),
  'envFrom?': list(object({ 'configMapRef?': reference, 'secretRef?': reference })),
  'lifecycle?': object({ preStop: object({ exec: object({ command: list(text) }) }) }),
  readinessProbe: probe,
  livenessProbe: probe,
  startupProbe: probe,
  resources: object({ requests: object({ cpu: quantity, memory: quantity }), limits: object({ memory: quantity }) }),
  securityContext: object({
    allowPrivilegeEscalation: { const: false },
    readOnlyRootFilesystem: { const: true },
    capabilities: object({ drop: { const: ['ALL'] } }),
  }),
  volumeMounts: list(object({ name: text, mountPath: text, 'readOnly?': flag })),
})

const pod = object({
  terminationGracePeriodSeconds: count,
  automountServiceAccountToken: flag,
  'enableServiceLinks?': flag,
  securityContext: object({
    runAsNonRoot: { const: true },
    runAsUser: count,
    runAsGroup: count,
    'fsGroup?': count,
    seccompProfile: object({ type: oneOf('RuntimeDefault') }),
  }),
  'topologySpreadConstraints?': list(
    object({
      maxSkew: count,
      topologyKey: text,
      whenUnsatisfiable: oneOf('ScheduleAnyway', 'DoNotSchedule'),
      labelSelector: selector,
    }),
  ),
  containers: list(container),
  'volumes?': list(
    object({ name: text, 'configMap?': object({ name: text }), 'persistentVolumeClaim?': object({ claimName: text }) }),
  ),
})
const template = object({ metadata: object({ labels: texts }), spec: pod })

export const KUBERNETES_SCHEMAS: Readonly<Record<string, Schema>> = {
  ConfigMap: resource('v1', { data: texts }),
  Service: resource('v1', {
    spec: object({
      'clusterIP?': oneOf('None'),
      selector: texts,
      ports: list(object({ name: text, port, 'targetPort?': port })),
    }),
  }),
  Deployment: resource('apps/v1', {
    spec: object({
      replicas: count,
      strategy: object({
        type: oneOf('Recreate', 'RollingUpdate'),
        'rollingUpdate?': object({ maxSurge: count, maxUnavailable: count }),
      }),
      selector,
      template,
    }),
  }),
  StatefulSet: resource('apps/v1', {
    spec: object({
      serviceName: text,
      replicas: count,
      selector,
      template,
      volumeClaimTemplates: list(object({ metadata: object({ name: text }), spec: claim })),
    }),
  }),
  PersistentVolumeClaim: resource('v1', { spec: claim }),
  PodDisruptionBudget: resource('policy/v1', { spec: object({ maxUnavailable: count, selector }) }),
  NetworkPolicy: resource('networking.k8s.io/v1', {
    spec: object({
      podSelector: selector,
      policyTypes: list(oneOf('Ingress', 'Egress')),
      ingress: list(object({ from: list(object({ podSelector: selector })), ports: list(object({ port })) })),
    }),
  }),
  Kustomization: object({
    apiVersion: { const: 'kustomize.config.k8s.io/v1beta1' },
    kind: text,
    resources: list(text),
    images: list(object({ name: text, newName: text, newTag: text })),
  }),
}
