// Owns the input types of the simulated Admin API. Names, nullability, arguments and enum values are
// a true subset of the official Admin schema in every version we serve; test/simulators/shopify-schema.test.ts proves it.
// Never holds a field that the simulator does not really answer.

export const inputTypes = `
input CustomerInput {
  addresses: [MailingAddressInput!]
  email: String
  firstName: String
  id: ID
  lastName: String
  locale: String
  metafields: [MetafieldInput!]
  note: String
  phone: String
  tags: [String!]
  taxExempt: Boolean
}

input CustomerSetInput {
  addresses: [MailingAddressInput!]
  email: String
  firstName: String
  id: ID
  lastName: String
  locale: String
  note: String
  phone: String
  tags: [String!]
  taxExempt: Boolean
}

input CustomerSetIdentifiers @oneOf {
  customId: UniqueMetafieldValueInput
  email: String
  id: ID
  phone: String
}

input CustomerDeleteInput {
  id: ID!
}

input CustomerIdentifierInput @oneOf {
  customId: UniqueMetafieldValueInput
  emailAddress: String
  id: ID
  phoneNumber: String
}

input ProductIdentifierInput @oneOf {
  customId: UniqueMetafieldValueInput
  handle: String
  id: ID
}

input ProductVariantIdentifierInput @oneOf {
  customId: UniqueMetafieldValueInput
  id: ID
}

input OrderIdentifierInput @oneOf {
  customId: UniqueMetafieldValueInput
  id: ID
}

input UniqueMetafieldValueInput {
  key: String!
  namespace: String
  value: String!
}

input MailingAddressInput {
  address1: String
  address2: String
  city: String
  company: String
  countryCode: CountryCode
  firstName: String
  lastName: String
  phone: String
  provinceCode: String
  zip: String
}

input MetafieldInput {
  id: ID
  key: String
  namespace: String
  type: String
  value: String
}

input ProductInput {
  descriptionHtml: String
  handle: String
  id: ID
  metafields: [MetafieldInput!]
  productType: String
  seo: SEOInput
  status: ProductStatus
  tags: [String!]
  templateSuffix: String
  title: String
  vendor: String
}

input ProductCreateInput {
  descriptionHtml: String
  handle: String
  metafields: [MetafieldInput!]
  productType: String
  seo: SEOInput
  status: ProductStatus
  tags: [String!]
  templateSuffix: String
  title: String
  vendor: String
}

input ProductUpdateInput {
  descriptionHtml: String
  handle: String
  id: ID
  metafields: [MetafieldInput!]
  productType: String
  seo: SEOInput
  status: ProductStatus
  tags: [String!]
  templateSuffix: String
  title: String
  vendor: String
}

input ProductDeleteInput {
  id: ID!
}

input SEOInput {
  description: String
  title: String
}

input ProductSetInput {
  descriptionHtml: String
  handle: String
  id: ID
  metafields: [MetafieldInput!]
  productOptions: [OptionSetInput!]
  productType: String
  seo: SEOInput
  status: ProductStatus
  tags: [String!]
  templateSuffix: String
  title: String
  variants: [ProductVariantSetInput!]
  vendor: String
}

input ProductSetIdentifiers @oneOf {
  customId: UniqueMetafieldValueInput
  handle: String
  id: ID
}

input OptionSetInput {
  id: ID
  name: String
  position: Int
  values: [OptionValueSetInput!]
}

input OptionValueSetInput {
  id: ID
  name: String
}

input ProductVariantSetInput {
  barcode: String
  compareAtPrice: Money
  id: ID
  inventoryItem: InventoryItemInput
  inventoryPolicy: ProductVariantInventoryPolicy
  metafields: [MetafieldInput!]
  optionValues: [VariantOptionValueInput!]!
  position: Int
  price: Money
  sku: String
  taxable: Boolean
}

input VariantOptionValueInput {
  id: ID
  name: String
  optionId: ID
  optionName: String
}

input InventoryItemInput {
  cost: Decimal
  requiresShipping: Boolean
  sku: String
  tracked: Boolean
}

input ProductVariantsBulkInput {
  barcode: String
  compareAtPrice: Money
  id: ID
  inventoryItem: InventoryItemInput
  inventoryPolicy: ProductVariantInventoryPolicy
  metafields: [MetafieldInput!]
  optionValues: [VariantOptionValueInput!]
  price: Money
  taxable: Boolean
}

input OrderCreateOrderInput {
  billingAddress: MailingAddressInput
  buyerAcceptsMarketing: Boolean = null
  closedAt: DateTime
  currency: CurrencyCode
  customAttributes: [OrderCreateCustomAttributeInput!]
  customer: OrderCreateCustomerInput
  customerId: ID
  email: String
  financialStatus: OrderCreateFinancialStatus
  fulfillmentStatus: OrderCreateFulfillmentStatus
  lineItems: [OrderCreateLineItemInput!]
  metafields: [MetafieldInput!]
  name: String
  note: String
  phone: String
  poNumber: String
  presentmentCurrency: CurrencyCode
  processedAt: DateTime
  shippingAddress: MailingAddressInput
  shippingLines: [OrderCreateShippingLineInput!]
  sourceIdentifier: String
  sourceName: String
  tags: [String!]
  taxLines: [OrderCreateTaxLineInput!]
  taxesIncluded: Boolean = false
  test: Boolean = false
}

input OrderCreateOptionsInput {
  inventoryBehaviour: OrderCreateInputsInventoryBehavior = BYPASS
  sendFulfillmentReceipt: Boolean = false
  sendReceipt: Boolean = false
}

input OrderCreateCustomerInput @oneOf {
  toAssociate: OrderCreateAssociateCustomerAttributesInput
  toUpsert: OrderCreateUpsertCustomerAttributesInput
}

input OrderCreateAssociateCustomerAttributesInput {
  email: String
  id: ID
}

input OrderCreateUpsertCustomerAttributesInput {
  email: String
  firstName: String
  id: ID
  lastName: String
  note: String
  phone: String
  tags: [String!]
  taxExempt: Boolean
}

input OrderCreateLineItemInput {
  giftCard: Boolean = false
  priceSet: MoneyBagInput
  productId: ID
  properties: [OrderCreateLineItemPropertyInput!]
  quantity: Int!
  requiresShipping: Boolean = false
  sku: String
  taxable: Boolean = true
  title: String
  variantId: ID
  variantTitle: String
  vendor: String
}

input OrderCreateLineItemPropertyInput {
  name: String!
  value: String!
}

input OrderCreateCustomAttributeInput {
  key: String!
  value: String!
}

input OrderCreateShippingLineInput {
  code: String
  priceSet: MoneyBagInput!
  source: String
  title: String!
}

input OrderCreateTaxLineInput {
  priceSet: MoneyBagInput
  rate: Decimal!
  title: String!
}

input MoneyBagInput {
  presentmentMoney: MoneyInput
  shopMoney: MoneyInput!
}

input MoneyInput {
  amount: Decimal!
  currencyCode: CurrencyCode!
}

input OrderInput {
  customAttributes: [AttributeInput!]
  email: String
  id: ID!
  metafields: [MetafieldInput!]
  note: String
  phone: String
  poNumber: String
  shippingAddress: MailingAddressInput
  tags: [String!]
}

input AttributeInput {
  key: String!
  value: String!
}

input OrderCancelRefundMethodInput @oneOf {
  originalPaymentMethodsRefund: Boolean
}

input OrderMarkAsPaidInput {
  id: ID!
}

input MetafieldsSetInput {
  compareDigest: String
  key: String!
  namespace: String
  ownerId: ID!
  type: String
  value: String!
}

input MetafieldIdentifierInput {
  key: String!
  namespace: String!
  ownerId: ID!
}

input MetafieldDefinitionInput {
  capabilities: MetafieldCapabilityCreateInput
  description: String
  key: String!
  name: String!
  namespace: String
  ownerType: MetafieldOwnerType!
  pin: Boolean = false
  type: String!
}

input MetafieldCapabilityCreateInput {
  uniqueValues: MetafieldCapabilityUniqueValuesInput
}

input MetafieldCapabilityUniqueValuesInput {
  enabled: Boolean!
}

input MetafieldDefinitionIdentifierInput {
  key: String!
  namespace: String
  ownerType: MetafieldOwnerType!
}

input WebhookSubscriptionInput {
  callbackUrl: URL
  format: WebhookSubscriptionFormat
  includeFields: [String!]
  uri: String
}

input StagedUploadInput {
  fileSize: UnsignedInt64
  filename: String!
  httpMethod: StagedUploadHttpMethodType = PUT
  mimeType: String!
  resource: StagedUploadTargetGenerateUploadResource!
}
`;
