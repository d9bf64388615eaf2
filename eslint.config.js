import js from '@eslint/js'
import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'data'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['*.js', '.*.js'] } } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            {
              from: 'package',
              package: 'node:test',
              name: ['test', 'describe', 'it', 'suite', 'before', 'after', 'beforeEach', 'afterEach'],
            },
          ],
        },
      ],
      // More belong together, in one object with a name.
      '@typescript-eslint/max-params': ['error', { max: 5 }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/require-await': 'off',
      'no-console': ['error'],
    },
  },
  { files: ['src/**'], rules: { 'max-lines': ['error', 350] } },
  {
    // Settings are read in one place, and handed on as values.
    files: ['src/**'],
    ignores: ['src/config/**', 'src/cli.ts'],
    rules: {
      'no-restricted-properties': ['error', { object: 'process', property: 'env', message: 'Only config reads it.' }],
      'no-restricted-imports': [
        'error',
        ...['process', 'node:process'].map((name) => ({
          name,
          importNames: ['env'],
          message: 'Only config reads it.',
        })),
      ],
    },
  },
  {
    files: ['test/**/*.test.ts'],
    rules: {
      // The runner ends a file, hooks and all, once the tests that it knows of have: what a later await brings comes too late.
      'no-restricted-syntax': [
        'error',
        ...['VariableDeclaration > VariableDeclarator', 'ExpressionStatement'].map((place) => ({
          selector: `Program > ExpressionStatement[expression.callee.name=/^(test|describe)$/] ~ ${place} > AwaitExpression`,
          message: 'Await before the first test of the file, or within a test or suite.',
        })),
      ],
    },
  },
  {
    files: [
      'test/bench/**',
      'test/demo/**',
      'test/chaos/**',
      'test/fuzz/**',
      'test/docker/prometheus.ts',
      'src/cli.ts',
    ],
    rules: { 'no-console': 'off' },
  },
)
