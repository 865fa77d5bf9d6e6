// Owns the shapes in which the simulated shop keeps its records. Rows are immutable: a write replaces the row, so an older
// row can still be shown by a lagging search index. Money is kept in cents, stamps in ms since the epoch.

export type ObjectKind =
  | 'Customer'
  | 'Product'
  | 'ProductVariant'
  | 'InventoryItem'
  | 'Order'
  | 'LineItem'
  | 'Metafield'
  | 'MetafieldDefinition'
  | 'WebhookSubscription'
  | 'BulkOperation'
  | 'MailingAddress'
  | 'ProductOption'
  | 'ProductOptionValue'
  | 'Shop'
  | 'App'
  | 'AppInstallation'
  | 'Job';

export interface Stamped {
  readonly kind: ObjectKind;
  readonly id: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface AddressRow {
  readonly id: number;
  readonly address1: string | null;
  readonly address2: string | null;
  readonly city: string | null;
  readonly company: string | null;
  readonly countryCode: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly phone: string | null;
  readonly provinceCode: string | null;
  readonly zip: string | null;
}

export interface CustomerRow extends Stamped {
  readonly kind: 'Customer';
  readonly email: string | null;
  readonly phone: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly note: string | null;
  readonly tags: readonly string[];
  readonly locale: string;
  readonly taxExempt: boolean;
  readonly addresses: readonly AddressRow[];
}

export interface OptionRow {
  readonly id: number;
  readonly name: string;
  readonly values: readonly { readonly id: number; readonly name: string }[];
}

export interface ProductRow extends Stamped {
  readonly kind: 'Product';
  readonly title: string;
  readonly handle: string;
  readonly descriptionHtml: string;
  readonly vendor: string;
  readonly productType: string;
  readonly status: string;
  readonly tags: readonly string[];
  readonly templateSuffix: string | null;
  readonly seoTitle: string | null;
  readonly seoDescription: string | null;
  readonly publishedAt: number | null;
  readonly options: readonly OptionRow[];
  /** In position order. */
  readonly variantIds: readonly number[];
}

export interface VariantRow extends Stamped {
  readonly kind: 'ProductVariant';
  readonly productId: number;
  readonly inventoryItemId: number;
  readonly sku: string | null;
  readonly barcode: string | null;
  readonly priceCents: number;
  readonly compareAtCents: number | null;
  readonly costCents: number | null;
  readonly taxable: boolean;
  readonly tracked: boolean;
  readonly requiresShipping: boolean;
  readonly inventoryPolicy: string;
  readonly selected: readonly { readonly name: string; readonly value: string }[];
}

export interface AttributeRow {
  readonly key: string;
  readonly value: string | null;
}

export interface LineRow {
  readonly kind: 'LineItem';
  readonly id: number;
  readonly orderId: number;
  readonly title: string;
  readonly variantTitle: string | null;
  readonly vendor: string | null;
  readonly sku: string | null;
  readonly quantity: number;
  readonly unitCents: number;
  readonly productId: number | null;
  readonly variantId: number | null;
  readonly requiresShipping: boolean;
  readonly taxable: boolean;
  readonly giftCard: boolean;
  readonly customAttributes: readonly AttributeRow[];
}

export interface OrderRow extends Stamped {
  readonly kind: 'Order';
  readonly number: number;
  readonly name: string;
  readonly email: string | null;
  readonly phone: string | null;
  readonly note: string | null;
  readonly poNumber: string | null;
  readonly tags: readonly string[];
  readonly customerId: number | null;
  readonly currency: string;
  readonly financialStatus: string;
  readonly fulfillmentStatus: string;
  readonly processedAt: number;
  readonly cancelledAt: number | null;
  readonly cancelReason: string | null;
  readonly closedAt: number | null;
  readonly test: boolean;
  readonly taxesIncluded: boolean;
  readonly taxCents: number;
  readonly shippingCents: number;
  readonly shippingTitle: string | null;
  readonly sourceName: string | null;
  readonly sourceIdentifier: string | null;
  readonly customAttributes: readonly AttributeRow[];
  readonly billingAddress: AddressRow | null;
  readonly shippingAddress: AddressRow | null;
  readonly lines: readonly LineRow[];
}

/** Objects that own metafields. */
export type OwnerKind = 'Customer' | 'Product' | 'ProductVariant' | 'Order' | 'Shop';

export interface MetafieldRow extends Stamped {
  readonly kind: 'Metafield';
  readonly ownerKind: OwnerKind;
  readonly ownerId: number;
  readonly namespace: string;
  readonly key: string;
  readonly type: string;
  readonly value: string;
}

export interface DefinitionRow extends Stamped {
  readonly kind: 'MetafieldDefinition';
  readonly ownerKind: OwnerKind;
  readonly namespace: string;
  readonly key: string;
  readonly name: string;
  readonly description: string | null;
  readonly type: string;
  readonly unique: boolean;
}

export interface SubscriptionRow extends Stamped {
  readonly kind: 'WebhookSubscription';
  /** Enum spelling, e.g. `ORDERS_CREATE`. */
  readonly topic: string;
  readonly uri: string;
  readonly format: string;
  readonly includeFields: readonly string[];
  readonly apiVersion: string;
}

export interface BulkRow extends Stamped {
  readonly kind: 'BulkOperation';
  readonly type: 'QUERY' | 'MUTATION';
  readonly status: string;
  readonly errorCode: string | null;
  readonly query: string;
  readonly objectCount: number;
  readonly rootObjectCount: number;
  readonly completedAt: number | null;
  readonly file: Buffer | null;
}

export type Entity =
  CustomerRow | ProductRow | VariantRow | OrderRow | MetafieldRow | DefinitionRow | SubscriptionRow | BulkRow;
