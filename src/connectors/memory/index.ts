// The memory connector: the contract in its plainest form, over a remote system inside this process. Used by tests, by the
// simulation and as the example for new connectors. Never leaves the process.
import type { Capabilities, Connector, ConnectorDeps, Spoke } from '../connector.js';
import { memoryClient } from './client.js';
import { parseMemoryConfig, type MemoryConfig } from './config.js';
import { memoryReads } from './read.js';
import { MemoryRemote } from './remote.js';
import { memoryWrite } from './write.js';

export const memory: Connector<MemoryConfig> = {
  name: 'memory',
  parseConfig: parseMemoryConfig,
  open: (config, deps) => Promise.resolve(openMemory(new MemoryRemote(config, deps), deps)),
};

/** A connector whose spokes all open the remote that the caller holds, whatever their configuration says. */
export function memoryConnector(remote: MemoryRemote): Connector<MemoryConfig> {
  return { ...memory, open: (_config, deps) => Promise.resolve(openMemory(remote, deps)) };
}

export function openMemory(remote: MemoryRemote, deps: ConnectorDeps): Spoke {
  const client = memoryClient(remote, deps);
  const { listen, ...reads } = memoryReads(client);
  const { returnsRecord: _returns, tellsAuthor: _tells, ...declared } = remote.config.capabilities;
  const capabilities: Capabilities = { ...declared, webhooks: false };
  const { id, label } = remote.config;
  return {
    capabilities,
    identity: () => client.read('identity', { lane: 'interactive' }, () => ({ id, label, user: 'truespoke' })),
    ...reads,
    ...(capabilities.stream ? { listen } : {}),
    write: (writes, options) => memoryWrite(client, writes, options),
    close: () => Promise.resolve(client.close()),
  };
}
