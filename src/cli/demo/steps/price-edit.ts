// Step b: a person edits a price in Salesforce; it goes through the hub to Shopify.
import { priceEntryOf, productSides } from '../sides.js';
import type { Step } from '../tour.js';
import { chooseProduct } from './chosen.js';

export const priceEdit: Step = {
  name: 'price-edit',
  title: 'A person edits a price in Salesforce',
  async run(tour) {
    const { world } = tour;
    const product = await chooseProduct(tour, 30);
    const entry = priceEntryOf(world, product.salesforceId);
    if (entry === undefined) throw new Error(`${product.sku} has no price in Salesforce`);
    const price = (Number(product.price) + 5).toFixed(2);
    tour.act('edit', `Salesforce, Ada Person: PricebookEntry of ${product.sku}, UnitPrice ${product.price} → ${price}`);
    await world.salesforce.edit({
      op: 'update',
      object: 'PricebookEntry',
      id: String(entry['Id']),
      fields: { UnitPrice: Number(price) },
      actor: 'ada@truespoke.example',
    });
    const took = await tour.until(async () => (await productSides(world, product.id)).shopify?.['price'] === price);
    const sides = await productSides(world, product.id);
    tour.show(sides, ['sku', 'price']);
    tour.expect('price in the hub', price, sides.hub['price']);
    tour.expect('price in Shopify', price, sides.shopify?.['price']);
    tour.expect('price in Salesforce', price, sides.salesforce?.['price']);
    return took ?? Number.NaN;
  },
};
