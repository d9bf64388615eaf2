import js from '@eslint/js'
import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['dist', 'node_modules', 'data'] },
  js.configs.recommended,
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ['eslint.config.js'] } } },
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
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': 'off',
      '@typescript-eslint/require-await': 'off',
      'no-console': ['error'],
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
    files: ['test/bench/**', 'test/demo/**', 'test/chaos/**', 'test/fuzz/**', 'src/cli.ts'],
    rules: { 'no-console': 'off' },
  },
)
