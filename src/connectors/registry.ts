// Owns the one list of connectors. A new connector is one folder and one line here; nothing else names it.
import type { ConfigPlace, Connector, ConnectorDeps, Spoke } from './connector.js';
import { memory } from './memory/index.js';
import { salesforce } from './salesforce/index.js';
import { shopify } from './shopify/index.js';

/** A connector behind a closed door: configuration goes in raw and comes out as a way to open the spoke. */
export interface RegisteredConnector {
  readonly name: string;
  /** Throws `Problems`, listing every problem. */
  configure(raw: unknown, place: ConfigPlace): ConfiguredConnector;
}

export interface ConfiguredConnector {
  readonly name: string;
  open(deps: ConnectorDeps): Promise<Spoke>;
}

/** Hides a connector's own type of configuration, so that connectors of different types stand in one list. */
export function register<Config>(connector: Connector<Config>): RegisteredConnector {
  return {
    name: connector.name,
    configure: (raw, place) => {
      const config = connector.parseConfig(raw, place);
      return { name: connector.name, open: (deps) => connector.open(config, deps) };
    },
  };
}

const list: readonly RegisteredConnector[] = [register(memory), register(salesforce), register(shopify)];

export const connectors: ReadonlyMap<string, RegisteredConnector> = new Map(list.map((each) => [each.name, each]));
