import tseslint from 'typescript-eslint';

// Non-determinism enters through ports (base/clock.ts, base/ids…); everywhere else it is a defect.
const ambient = [
  { selector: "MemberExpression[object.name='Date'][property.name='now']", message: 'Take a Clock as a parameter.' },
  { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: 'Take a Clock as a parameter.' },
  {
    selector: "MemberExpression[object.name='Math'][property.name='random']",
    message: 'Take a Random as a parameter.',
  },
  { selector: "MemberExpression[property.name='randomUUID']", message: 'Take an Ids as a parameter.' },
  { selector: 'CallExpression[callee.name=/^(setTimeout|setInterval)$/]', message: 'Use clock.sleep or clock.every.' },
  { selector: 'ExportAllDeclaration', message: 'No barrels: import from the file that defines it.' },
];

export default tseslint.config(
  { ignores: ['dist', 'dist-bench', 'node_modules', 'coverage', '.truespoke'] },
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'no-console': 'error',
      eqeqeq: ['error', 'always'],
    },
  },
  {
    files: ['src/**/*.ts'],
    ignores: ['src/base/clock.ts', 'src/base/random.ts', 'src/simulators/**', 'src/cli/**'],
    rules: { 'no-restricted-syntax': ['error', ...ambient] },
  },
);
