// Owns the part of `check` that asks the hub and the spokes themselves: can they be reached, do they let us in, do they have what
// the mappings name? Reads only.
import { Problems, TruespokeError, type Problem } from '../base/errors.js';
import { silentLog } from '../base/log.js';
import { systemRandom } from '../base/random.js';
import type { RemoteSchema } from '../connectors/connector.js';
import { openSpoke, resolveDefaults, type ConnectDeps, type SpokeSetup } from '../engine/connect.js';
import { checkAgainst } from '../mapping/check-remote.js';
import { objectsOf } from '../mapping/selection.js';
import { findUnsettled } from '../mapping/settling.js';
import { uncounted } from '../model/status.js';
import { withMigratedHub } from './hub.js';
import type { Io } from './io.js';
import type { Project } from './project.js';
import { errorView, type ErrorView } from './render.js';
import { noHttp, spokeSetup } from './spokes.js';

export interface SpokeAnswer {
  readonly name: string;
  readonly connector: string;
  /** What it calls itself; null when it did not answer. */
  readonly label: string | null;
  readonly apiVersion: string | null;
  readonly error: ErrorView | null;
}

export interface RemoteAnswer {
  readonly spokes: readonly SpokeAnswer[];
  readonly warnings: readonly Problem[];
}

/** Throws Problems when a mapping names what a remote lacks. Spokes that do not answer are in the result. */
export async function checkRemote({ config, mappings }: Project, io: Io): Promise<RemoteAnswer> {
  return withMigratedHub(config, io, 'check', async ({ pool }) => {
    const enabled = [...config.spokes.values()].filter((spoke) => spoke.enabled);
    const setups = enabled.map((spoke) => spokeSetup(spoke, uncounted, io));
    const { clock, signal } = io;
    const { mapping } = mappings;
    const deps = { pool, clock, signal, random: systemRandom, log: silentLog, http: noHttp, mapping };
    const asked = await Promise.all(setups.map((setup) => ask(deps, setup)));
    const schemas = new Map(
      asked.flatMap(({ answer, schema }) => (schema === null ? [] : [[answer.name, schema] as const])),
    );
    const { problems, warnings } = checkAgainst(mapping, schemas, mappings.place);
    const unsettled = findUnsettled(mapping, mappings.place, schemas);
    if (problems.length + unsettled.length > 0) throw new Problems([...problems, ...unsettled], 'remote_not_as_mapped');
    return { spokes: asked.map(({ answer }) => answer), warnings };
  });
}

interface Asked {
  readonly answer: SpokeAnswer;
  readonly schema: RemoteSchema | null;
}

async function ask(deps: ConnectDeps, setup: SpokeSetup): Promise<Asked> {
  const { name } = setup;
  const connector = setup.connector.name;
  const { spoke, limiter } = await openSpoke(deps, setup);
  const answered: { label: string | null; schema: RemoteSchema | null } = { label: null, schema: null };
  const answer = (error: ErrorView | null): Asked => {
    const { label, schema } = answered;
    return { answer: { name, connector, label, apiVersion: schema?.apiVersion ?? null, error }, schema };
  };
  try {
    answered.label = (await spoke.identity()).label;
    const schema = await spoke.describe(objectsOf(deps.mapping, name));
    answered.schema = schema;
    // A default that is looked up must find its record; an object that is missing is told with its place in the mapping.
    if (schema.missing.length === 0) await resolveDefaults(deps.mapping, name, spoke);
    return answer(null);
  } catch (error) {
    // One spoke that does not answer must not hide what the others say.
    if (!(error instanceof TruespokeError)) throw error;
    return answer(errorView(error));
  } finally {
    await spoke.close();
    await limiter.close();
  }
}
