// Owns the list of objects this connector knows. Never grows at run time.
import { customer } from './customer.js';
import { order } from './order.js';
import { productVariant } from './product-variant.js';
import { product } from './product.js';
import type { ObjectSpec } from './spec.js';

export const catalogue: ReadonlyMap<string, ObjectSpec> = new Map(
  [customer, product, productVariant, order].map((spec) => [spec.name, spec]),
);
