/*
 * What nothing uses is to go: files, exports and packages. `knip` looks at everything, `knip --production` only at what is
 * shipped (`!`), so that an export of src that only tests use is found too.
 */

/** @type {import('knip').KnipConfig} */
export default {
  entry: [
    'src/cli.ts!',
    // Tests and benchmarks start a gateway of their own.
    'src/main.ts!',
    'src/ledger/sqlite/worker.ts!',
    // What the dashboard runs in the browser.
    'src/dashboard/page/poll.ts!',
    'test/**/*.test.ts',
    // Commands of package.json and of pages.
    'test/{bench/forwarding,bench/routing,chaos/chaos,demo/demo,fuzz/fuzz}.ts',
    'test/bench/routing/{policyCost,simulation}.ts',
    'test/kit/fakeNode/main.ts',
    // Processes that tests and benchmarks start, and modules that they load into others.
    'test/bench/forwarding/{stampingNode,contenders/*Server,hostile/attacker,hostile/hostileNode}.ts',
    'test/bench/forwarding/{openai/stampingService,turns/watch}.ts',
    'test/bench/routing/gatewayMain.ts',
    'test/e2e/jobs/otherAddress.ts',
    'test/kit/fakeDns.ts',
    'test/ledger/recorder.ts',
  ],
  project: ['src/**/*.ts!', 'test/**/*.ts'],
  // The runtime: its command is called `node`, as the machine's own.
  ignoreDependencies: ['node'],
  // Programs of the machine, which tests and benchmarks use where they are there.
  ignoreBinaries: ['chattr', 'haproxy', 'mount', 'nginx', 'prlimit', 'umount'],
}
