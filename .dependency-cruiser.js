/*
 * Which module may import which. Imports of types count as well, and so does a cycle within a folder.
 */

const base = ['base', 'json', 'ids', 'faults']
const beneathDispatch = ['http', 'fleet', ...base]
const beneathUpstream = ['dispatch', ...beneathDispatch]
const beneathFeatures = ['upstream', 'ledger', 'replicas', ...beneathUpstream]
const beneathApp = ['jobs', 'openai', 'lookup', 'admin', ...beneathFeatures]
const beneathMain = ['app', 'state', 'config', 'observability', 'openapi', 'dashboard', 'welcome', ...beneathApp]
const beneathRun = ['main', 'signals', 'workers', ...beneathMain]

/** Each layer, a folder or file of `src/`, and the layers that it may import besides itself. */
const LAYERS = {
  cli: ['run', 'check', ...beneathRun],
  check: beneathMain,
  run: beneathRun,
  main: beneathMain,
  app: beneathApp,
  state: ['config', 'ledger', 'lookup', 'base'],
  signals: ['observability'],
  // Knows nothing of what its workers serve.
  workers: ['ledger', 'replicas', 'base', 'faults'],
  observability: beneathApp,
  // The table of paths is data alone, which imports nothing.
  openapi: ['http', 'faults', 'openai/forwardedPaths'],
  dashboard: [],
  welcome: ['faults'],
  jobs: beneathFeatures,
  openai: beneathFeatures,
  lookup: beneathFeatures,
  admin: beneathFeatures,
  upstream: beneathUpstream,
  dispatch: beneathDispatch,
  ledger: ['replicas', 'base', 'faults'],
  replicas: ['http', 'base', 'faults'],
  http: base,
  fleet: base,
  json: ['base'],
  base: [],
  ids: ['faults'],
  faults: [],
  config: ['base'],
}

const FEATURES = ['jobs', 'openai', 'lookup', 'admin']
/** Folders that features import by their `index.ts` alone. */
const WITH_INDEX = ['upstream', 'dispatch', 'ledger', 'replicas', 'fleet', 'http', 'base', 'json']

/**
 * The modules of some layers.
 *
 * @param {readonly string[]} layers
 */
const within = (layers) => `^src/(${layers.join('|')})(/|\\.ts$)`

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'A cycle means that neither module can be understood, tested or moved without the other.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    ...Object.entries(LAYERS).map(([layer, mayImport]) => ({
      name: `layer-${layer}`,
      comment: `Besides itself, ${layer} may import: ${mayImport.join(', ') || 'nothing of src'}.`,
      severity: 'error',
      from: { path: within([layer]) },
      to: { path: '^src/', pathNot: within([layer, ...mayImport]) },
    })),
    {
      name: 'by-the-index',
      comment: 'Features know of these folders what their `index.ts` names.',
      severity: 'error',
      from: { path: within(FEATURES) },
      to: { path: within(WITH_INDEX), pathNot: ['/index\\.ts$'] },
    },
    {
      name: 'layers-are-named',
      comment: 'Each folder and file of src is one of the layers of .dependency-cruiser.js.',
      severity: 'error',
      from: {},
      to: { path: '^src/', pathNot: within(Object.keys(LAYERS)) },
    },
    {
      name: 'src-stands-alone',
      comment: 'What is shipped imports nothing of the tests, and only packages that are installed with it.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-development-packages',
      comment: 'What is shipped imports only packages that are installed with it; types are not needed to run.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: '^node_modules/@types/' },
    },
    {
      name: 'resolvable',
      comment: 'A module that is imported must be there.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // Imports that the compiler removes count as well: those of types.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: '^node_modules/' },
  },
}
