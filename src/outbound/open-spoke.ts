// A connected spoke as outbound sees it.
import type { Spoke } from '../connectors/connector.js';
import type { EntityName, SpokeName } from '../model/ids.js';
import type { RemoteFields } from '../model/record.js';

export interface OpenSpoke {
  readonly name: SpokeName;
  readonly spoke: Spoke;
  /** Values that the mapping's `defaults` stand for, look-ups resolved. */
  readonly defaults: ReadonlyMap<EntityName, RemoteFields>;
}
