// Step a: an application writes plain SQL; both systems have it.
import { canonical, customerSides } from '../sides.js';
import type { Step } from '../tour.js';
import { chooseCustomer } from './chosen.js';

export const applicationEdit: Step = {
  name: 'application-edit',
  title: 'An application updates hub.customer with plain SQL',
  async run(tour) {
    const { world } = tour;
    const { id, email } = await chooseCustomer(tour, 20);
    const phone = `+1907555${String(100 + (tour.round % 100)).padStart(4, '0')}`;
    const lastName = `Okafor-${tour.round + 1}`;
    tour.act('sql', `update hub.customer set last_name = '${lastName}', phone = '${phone}' where email = '${email}'`);
    await world.pool.query('update hub.customer set last_name = $1, phone = $2 where email = $3', [
      lastName,
      phone,
      email,
    ]);
    const took = await tour.until(async () => {
      const { salesforce, shopify } = await customerSides(world, id);
      return [salesforce, shopify].every(
        (side) => side?.['last_name'] === lastName && canonical('phone', side['phone']) === canonical('phone', phone),
      );
    });
    const sides = await customerSides(world, id);
    tour.show(sides, ['email', 'last_name', 'phone']);
    for (const [name, side] of [
      ['Salesforce', sides.salesforce],
      ['Shopify', sides.shopify],
    ] as const) {
      tour.expect(`last_name in ${name}`, lastName, side?.['last_name']);
      tour.expect(`phone in ${name}`, canonical('phone', phone), canonical('phone', side?.['phone']));
    }
    return took ?? Number.NaN;
  },
};
