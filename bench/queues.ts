// Owns the two queues beside row 6: filled by plain SQL, drained by their own code with tasks that do nothing. In their last versions
// that run on the oldest Node that we support.
import { Logger, run } from 'graphile-worker';
import PgBoss from 'pg-boss';
import type { BenchHub } from './hub.js';
import { until } from './live.js';

export interface Queue {
  fill(jobs: number): Promise<void>;
  /** Works off what `fill` put in. */
  drain(jobs: number): Promise<number>;
  end(): Promise<void>;
}

const queue = 'bench';
const batch = 1_000;
const silent = new Logger(() => () => undefined);

/** Local queue and batched completion: its fastest form by its own documentation. */
export async function graphileWorker(hub: BenchHub): Promise<Queue> {
  const preset = {
    worker: {
      connectionString: hub.url,
      concurrentJobs: 24,
      maxPoolSize: 10,
      pollInterval: 100,
      localQueue: { size: batch },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  };
  let done = 0;
  const start = (): ReturnType<typeof run> =>
    run({ preset, logger: silent, noHandleSignals: true, taskList: { [queue]: () => void (done += 1) } });
  // Makes its tables.
  await (await start()).stop();
  return {
    async fill(jobs) {
      await hub.sql(
        `select count(*) from graphile_worker.add_jobs(array(
           select json_populate_record(null::graphile_worker.job_spec, json_build_object('identifier', '${queue}', 'payload', json_build_object('n', g)))
             from generate_series(1, ${jobs}) g))`,
      );
    },
    async drain(jobs) {
      done = 0;
      const runner = await start();
      await until(() => Promise.resolve(done >= jobs), 'every task ran', 1);
      await runner.stop();
      const [left] = await hub.sql('select count(*)::text as n from graphile_worker._private_jobs');
      if (left?.['n'] !== '0') throw new Error(`graphile-worker left ${left?.['n'] ?? ''} tasks`);
      return done;
    },
    end: () => Promise.resolve(),
  };
}

/** Its own loop of fetch and complete, a thousand at a time. */
export async function pgBoss(hub: BenchHub): Promise<Queue> {
  const boss = new PgBoss({ connectionString: hub.url, supervise: false, schedule: false, migrate: true, max: 4 });
  boss.on('error', () => undefined);
  await boss.start();
  await boss.createQueue(queue);
  return {
    async fill(jobs) {
      for (let from = 0; from < jobs; from += 10_000) {
        const count = Math.min(10_000, jobs - from);
        await boss.insert(Array.from({ length: count }, (_, i) => ({ name: queue, data: { n: from + i } })));
      }
    },
    async drain() {
      let done = 0;
      for (;;) {
        const jobs = await boss.fetch(queue, { batchSize: batch });
        if (jobs.length === 0) return done;
        await boss.complete(
          queue,
          jobs.map(({ id }) => id),
        );
        done += jobs.length;
      }
    },
    end: () => boss.stop({ graceful: false, wait: true }),
  };
}
