// Owns the part of `check` that asks the hub and the spokes themselves: can they be reached, do they let us in, do they have what
// the mappings name? Reads only.
import { Problems, TruespokeError, type Problem } from '../base/errors.js';
import { silentLog } from '../base/log.js';
import type { RemoteSchema, Spoke } from '../connectors/connector.js';
import { checkAgainst } from '../mapping/check-remote.js';
import type { Mapping } from '../mapping/mapping.js';
import type { ObjectName, SpokeName } from '../model/ids.js';
import { uncounted } from '../model/status.js';
import { withMigratedHub } from './hub.js';
import type { Io } from './io.js';
import type { Project } from './project.js';
import { errorView, type ErrorView } from './render.js';
import { openSpokes } from './spokes.js';

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
    const open = await openSpokes({ config, pool, log: silentLog, counters: uncounted, signal: io.signal }, io);
    try {
      const asked = await Promise.all([...open.spokes.values()].map((each) => ask(each, mappings.mapping)));
      const schemas = new Map(
        asked.flatMap(({ answer, schema }) => (schema === null ? [] : [[answer.name, schema] as const])),
      );
      const { problems, warnings } = checkAgainst(mappings.mapping, schemas, (entity, path) =>
        mappings.place(entity, path),
      );
      if (problems.length > 0) throw new Problems(problems, 'remote_not_as_mapped');
      return { spokes: asked.map(({ answer }) => answer), warnings };
    } finally {
      await open.close();
    }
  });
}

interface Asked {
  readonly answer: SpokeAnswer;
  readonly schema: RemoteSchema | null;
}

async function ask(
  { name, connector, spoke }: { readonly name: SpokeName; readonly connector: string; readonly spoke: Spoke },
  mapping: Mapping,
): Promise<Asked> {
  try {
    const { label } = await spoke.identity();
    const schema = await spoke.describe(objectsOf(mapping, name));
    return { answer: { name, connector, label, apiVersion: schema.apiVersion, error: null }, schema };
  } catch (error) {
    // One spoke that does not answer must not hide what the others say.
    if (!(error instanceof TruespokeError)) throw error;
    return { answer: { name, connector, label: null, apiVersion: null, error: errorView(error) }, schema: null };
  }
}

function objectsOf(mapping: Mapping, spoke: SpokeName): readonly ObjectName[] {
  const objects = [...mapping.entities.values()].flatMap((entity) => {
    const mapped = entity.spokes.get(spoke);
    return mapped === undefined ? [] : [mapped.embedded?.parentObject ?? mapped.object];
  });
  return [...new Set(objects)];
}
