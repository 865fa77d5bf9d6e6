// Every planted bug.
import type { PlantedBug } from './bug.js';
import { captureBugs } from './capture.js';
import { connectorBugs } from './connector.js';
import { inboundBugs } from './inbound.js';
import { outboundBugs } from './outbound.js';
import { reconcileBugs } from './reconcile.js';

export const allBugs: readonly PlantedBug[] = [
  ...captureBugs,
  ...inboundBugs,
  ...outboundBugs,
  ...reconcileBugs,
  ...connectorBugs,
];
