// Owns the order of the tour.
import { applicationEdit } from './steps/application-edit.js';
import { bothSides } from './steps/both-sides.js';
import { damage } from './steps/damage.js';
import { faults } from './steps/faults.js';
import { kill } from './steps/kill.js';
import { orderPlaced } from './steps/order-placed.js';
import { priceEdit } from './steps/price-edit.js';
import type { Step } from './tour.js';

export const steps: readonly Step[] = [applicationEdit, priceEdit, orderPlaced, bothSides, faults, kill, damage];
