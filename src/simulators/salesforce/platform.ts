// Owns what the platform itself does with standard objects when they are saved or deleted: composed names, price books,
// orders and their lines. One entry an object; everything generic is elsewhere.
import { must } from '../../base/assert.js';
import { ApiError } from './errors.js';
import type { Transaction } from './transaction.js';
import type { ObjectDef, Row, Value } from './words.js';

type Draft = Record<string, Value>;

interface Behaviour {
  /** May change the draft or refuse it. */
  readonly before?: (tx: Transaction, draft: Draft, before: Row | null) => void;
  /** `after` is null on deletion. */
  readonly after?: (tx: Transaction, after: Row | null, before: Row | null) => void;
}

const behaviours: Readonly<Record<string, Behaviour>> = {
  Contact: { before: (_tx, draft) => composeName(draft) },
  User: { before: (_tx, draft) => composeName(draft) },
  PricebookEntry: { before: beforePricebookEntry },
  Product2: { after: afterProduct },
  Order: { before: beforeOrder },
  OrderItem: { before: beforeOrderItem, after: afterOrderItem },
};

export function beforeSave(tx: Transaction, object: ObjectDef, draft: Draft, before: Row | null): void {
  behaviours[object.name]?.before?.(tx, draft, before);
}

export function afterSave(tx: Transaction, object: ObjectDef, after: Row | null, before: Row | null): void {
  behaviours[object.name]?.after?.(tx, after, before);
}

/** Refuses a deletion that other records forbid. */
export function checkDeletion(tx: Transaction, object: ObjectDef, row: Row): void {
  if (!object.deletable)
    throw new ApiError('INSUFFICIENT_ACCESS_OR_READONLY', 'insufficient access rights on object id');
  if (object.name === 'Order' && row['StatusCode'] === 'Activated') {
    throw new ApiError('DELETE_FAILED', 'Unable to delete an activated order. Deactivate the order first.');
  }
  const id = String(row['Id']);
  for (const relation of tx.org.catalogue.children(object.name)) {
    if (relation.field.onParentDelete !== 'restrict') continue;
    const holders = tx.org.store
      .table(relation.child)
      .children(relation.field, id)
      .filter((child) => child['IsDeleted'] !== true);
    if (holders.length === 0) continue;
    const label = tx.org.catalogue.object(relation.child)?.labelPlural.toLowerCase() ?? relation.child;
    const name = String(row['Name'] ?? row['OrderNumber'] ?? id);
    const names = holders
      .slice(0, 5)
      .map((child) => String(child['OrderNumber'] ?? child['OrderItemNumber'] ?? child['Id']));
    throw new ApiError(
      'DELETE_FAILED',
      `Your attempt to delete ${name} could not be completed because it is associated with the following ${label}.: ${names.join(', ')}\n`,
    );
  }
}

function composeName(draft: Draft): void {
  const parts = [draft['FirstName'], draft['LastName']].filter((part) => typeof part === 'string');
  draft['Name'] = parts.join(' ');
}

function beforePricebookEntry(tx: Transaction, draft: Draft, before: Row | null): void {
  const { store, catalogue } = tx.org;
  const product =
    typeof draft['Product2Id'] === 'string' ? store.table('Product2').get(draft['Product2Id']) : undefined;
  const book =
    typeof draft['Pricebook2Id'] === 'string' ? store.table('Pricebook2').get(draft['Pricebook2Id']) : undefined;
  if (product === undefined || book === undefined) return; // the generic reference check names what is wrong
  draft['Name'] = product['Name'] ?? null;
  draft['ProductCode'] = product['ProductCode'] ?? null;
  const field = must(catalogue.field('PricebookEntry', 'Product2Id'), 'Product2Id');
  const siblings = store
    .table('PricebookEntry')
    .children(field, String(product['Id']))
    .filter((row) => row['IsDeleted'] !== true);
  const standard = siblings.find((row) => row['Pricebook2Id'] === tx.org.standardPricebookId);
  if (before === null && siblings.some((row) => row['Pricebook2Id'] === book['Id'])) {
    throw new ApiError('DUPLICATE_VALUE', 'This price definition already exists in this price book');
  }
  if (book['IsStandard'] !== true && standard === undefined) {
    throw new ApiError('STANDARD_PRICE_NOT_DEFINED', 'No standard price defined for this product');
  }
  if (draft['UseStandardPrice'] === true && standard !== undefined) draft['UnitPrice'] = standard['UnitPrice'] ?? null;
}

/** Price book entries show the product's name and code; renaming the product does not move their stamps. */
function afterProduct(tx: Transaction, after: Row | null, before: Row | null): void {
  if (after === null || before === null) return;
  const same = after['Name'] === before['Name'] && after['ProductCode'] === before['ProductCode'];
  if (same) return;
  const table = tx.org.store.table('PricebookEntry');
  const field = must(tx.org.catalogue.field('PricebookEntry', 'Product2Id'), 'Product2Id');
  for (const row of table.children(field, String(after['Id']))) {
    table.put(String(row['Id']), { ...row, Name: after['Name'] ?? null, ProductCode: after['ProductCode'] ?? null });
  }
}

function linesOf(tx: Transaction, orderId: string): readonly Row[] {
  const field = must(tx.org.catalogue.field('OrderItem', 'OrderId'), 'OrderId');
  return tx.org.store
    .table('OrderItem')
    .children(field, orderId)
    .filter((row) => row['IsDeleted'] !== true);
}

function beforeOrder(tx: Transaction, draft: Draft, before: Row | null): void {
  const activated = draft['Status'] === 'Activated';
  const lines = before === null ? [] : linesOf(tx, String(before['Id']));
  if (before === null && activated)
    throw new ApiError('FAILED_ACTIVATION', 'Choose a valid order status. An order is created as a draft.', ['Status']);
  if (before !== null && before['Status'] !== 'Activated' && activated) {
    if (lines.length === 0) throw new ApiError('FAILED_ACTIVATION', 'An order must have at least one product.', []);
    draft['ActivatedDate'] = tx.stamp;
    draft['ActivatedById'] = tx.actor.userId;
  }
  if (before !== null && before['Pricebook2Id'] !== draft['Pricebook2Id'] && lines.length > 0) {
    throw new ApiError('FIELD_INTEGRITY_EXCEPTION', "You can't change the price book of an order that has products.", [
      'Pricebook2Id',
    ]);
  }
  draft['StatusCode'] = activated ? 'Activated' : 'Draft';
}

function beforeOrderItem(tx: Transaction, draft: Draft, before: Row | null): void {
  const { store } = tx.org;
  const entry =
    typeof draft['PricebookEntryId'] === 'string'
      ? store.table('PricebookEntry').get(draft['PricebookEntryId'])
      : undefined;
  const order = typeof draft['OrderId'] === 'string' ? store.table('Order').get(draft['OrderId']) : undefined;
  if (entry === undefined || order === undefined) return; // the generic checks name what is missing
  if (order['Pricebook2Id'] !== entry['Pricebook2Id']) {
    throw new ApiError(
      'FIELD_INTEGRITY_EXCEPTION',
      'field integrity exception: PricebookEntryId (pricebook entry is in a different pricebook than the one assigned to the order, or order has no pricebook assigned)',
      ['PricebookEntryId'],
    );
  }
  if (before === null && entry['IsActive'] !== true) {
    throw new ApiError(
      'FIELD_INTEGRITY_EXCEPTION',
      'field integrity exception: PricebookEntryId (pricebook entry is inactive)',
      ['PricebookEntryId'],
    );
  }
  const moneyChanges =
    before === null || before['Quantity'] !== draft['Quantity'] || before['UnitPrice'] !== draft['UnitPrice'];
  if (order['StatusCode'] === 'Activated' && moneyChanges) {
    throw new ApiError(
      'FIELD_INTEGRITY_EXCEPTION',
      "You can't add products to, or change prices of, an activated order.",
      [],
    );
  }
  const { UnitPrice: price, Quantity: quantity } = draft;
  draft['Product2Id'] = entry['Product2Id'] ?? null;
  draft['ListPrice'] = entry['UnitPrice'] ?? null;
  if (before === null) draft['AvailableQuantity'] = quantity ?? null;
  draft['TotalPrice'] = typeof price === 'number' && typeof quantity === 'number' ? cents(price * quantity) : null;
}

function afterOrderItem(tx: Transaction, after: Row | null, before: Row | null): void {
  const orderId = String((after ?? before)?.['OrderId']);
  const total = linesOf(tx, orderId).reduce((sum, row) => sum + Number(row['TotalPrice'] ?? 0), 0);
  tx.recalculate(must(tx.org.catalogue.object('Order'), 'Order'), orderId, { TotalAmount: cents(total) });
}

const cents = (value: number): number => Math.round(value * 100) / 100;
