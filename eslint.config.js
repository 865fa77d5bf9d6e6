import tseslint from 'typescript-eslint';

// Non-determinism enters through ports (base/clock.ts, base/random.ts, base/http-undici.ts …); everywhere else it is a defect, because
// the seeded simulation could not decide it. test/lint.test.ts shows that each of these is caught, and who is exempt.
const clockWanted = 'Take a Clock as a parameter.';
const sleepWanted = 'Use clock.sleep, or deadline(clock, …).';
const randomWanted = 'Take a Random or Ids as a parameter.';
const httpWanted = 'Take an Http as a parameter.';
const timers = ['setTimeout', 'setInterval', 'setImmediate'];
const randomness = ['randomUUID', 'randomBytes', 'randomInt', 'randomFill', 'randomFillSync', 'getRandomValues'];
const ambient = [
  { selector: "MemberExpression[object.name='Date'][property.name='now']", message: clockWanted },
  { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: clockWanted },
  { selector: "CallExpression[callee.name='Date']", message: clockWanted },
  { selector: "MemberExpression[object.name='performance']", message: clockWanted },
  { selector: "MemberExpression[object.name='process'][property.name=/^(hrtime|uptime)$/]", message: clockWanted },
  { selector: "MemberExpression[object.name='Math'][property.name='random']", message: randomWanted },
  { selector: `MemberExpression[property.name=/^(${randomness.join('|')})$/]`, message: randomWanted },
  { selector: "MemberExpression[object.name='AbortSignal'][property.name='timeout']", message: sleepWanted },
  { selector: "MemberExpression[object.name='globalThis']", message: 'Take what you need as a parameter.' },
  { selector: 'ExportAllDeclaration', message: 'No barrels: import from the file that defines it.' },
];
const ambientGlobals = [
  ...timers.map((name) => ({ name, message: sleepWanted })),
  { name: 'fetch', message: httpWanted },
  { name: 'crypto', message: randomWanted },
  { name: 'performance', message: clockWanted },
];
/** By package or module; `importNames` where only some of it is ambient. */
const ambientImports = [
  ...['timers', 'timers/promises']
    .flatMap((name) => [name, `node:${name}`])
    .map((name) => ({ name, message: sleepWanted })),
  ...['perf_hooks', 'node:perf_hooks'].map((name) => ({ name, message: clockWanted })),
  ...['crypto', 'node:crypto'].map((name) => ({ name, importNames: randomness, message: randomWanted })),
  ...['http', 'https', 'http2', 'dns', 'dns/promises', 'tls', 'dgram']
    .flatMap((name) => [name, `node:${name}`])
    .map((name) => ({ name, allowTypeImports: true, message: httpWanted })),
  ...['net', 'node:net'].map((name) => {
    const importNames = ['default', 'Socket', 'connect', 'createConnection', 'createServer', 'Server'];
    return { name, importNames, allowTypeImports: true, message: 'Only the doors open sockets.' };
  }),
  { name: 'undici', allowTypeImports: true, message: httpWanted },
];
/** The doors: where the real clock, chance and network come in. */
const doors = {
  anything: ['src/base/clock.ts', 'src/base/random.ts', 'src/simulators/**', 'src/cli/**'],
  imports: [
    'src/base/http-undici.ts',
    'src/base/address-guard.ts', // resolves names for http-undici
    'src/outbound/slot.ts', // the replication connection
    'src/store/postgres-process.ts', // finds a free port for the embedded hub
    'src/store/embedded.ts', // makes its password
  ],
};

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
    ignores: doors.anything,
    rules: { 'no-restricted-syntax': ['error', ...ambient], 'no-restricted-globals': ['error', ...ambientGlobals] },
  },
  {
    files: ['src/**/*.ts'],
    ignores: [...doors.anything, ...doors.imports],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { paths: ambientImports }] },
  },
);
