// Owns the specifications of the standard objects: names, types, lengths and flags after the public object reference.
// Data only; catalogue.ts gives the defaults.
import type { FieldSpec } from './words.js';

export interface StandardObject {
  readonly name: string;
  readonly label: string;
  readonly labelPlural: string;
  readonly keyPrefix: string;
  readonly createable?: boolean;
  readonly deletable?: boolean;
  readonly mergeable?: boolean;
  readonly undeletable?: boolean;
  readonly fields: readonly FieldSpec[];
}

const text = (name: string, length = 255, more: Partial<FieldSpec> = {}): FieldSpec => ({ name, length, ...more });
const area = (name: string, length = 32000): FieldSpec => ({ name, type: 'textarea', length });
const phone = (name: string): FieldSpec => ({ name, type: 'phone' });
const flag = (name: string, more: Partial<FieldSpec> = {}): FieldSpec => ({ name, type: 'boolean', ...more });
const money = (name: string, more: Partial<FieldSpec> = {}): FieldSpec => ({
  name,
  type: 'currency',
  precision: 18,
  scale: 2,
  ...more,
});
const day = (name: string, more: Partial<FieldSpec> = {}): FieldSpec => ({ name, type: 'date', ...more });
const moment = (name: string, more: Partial<FieldSpec> = {}): FieldSpec => ({ name, type: 'datetime', ...more });
const pick = (name: string, picklist: readonly string[], more: Partial<FieldSpec> = {}): FieldSpec => ({
  name,
  type: 'picklist',
  picklist,
  ...more,
});
const ref = (name: string, to: string, more: Partial<FieldSpec> = {}): FieldSpec => ({
  name,
  type: 'reference',
  referenceTo: [to],
  ...more,
});
const readOnly = { createable: false, updateable: false } as const;
const fixed = { updateable: false } as const;

/** Id, stamps and authorship, which every object has. */
export function systemFields(object: string): readonly FieldSpec[] {
  const always = { ...readOnly, nillable: false, defaultedOnCreate: true } as const;
  const stamps: FieldSpec[] = [
    moment('CreatedDate', always),
    ref('CreatedById', 'User', { ...always, relationshipName: 'CreatedBy', onParentDelete: 'keep' }),
    moment('LastModifiedDate', always),
    ref('LastModifiedById', 'User', { ...always, relationshipName: 'LastModifiedBy', onParentDelete: 'keep' }),
    moment('SystemModstamp', always),
  ];
  const id: FieldSpec = { name: 'Id', label: `${object} ID`, type: 'id', idLookup: true, ...always };
  const bin: FieldSpec[] =
    object === 'User' || object === 'Organization' ? [] : [flag('IsDeleted', { label: 'Deleted', ...always })];
  return [id, ...bin, ...stamps];
}

const owner = ref('OwnerId', 'User', {
  nillable: false,
  defaultedOnCreate: true,
  relationshipName: 'Owner',
  onParentDelete: 'keep',
});

function address(prefix: string): FieldSpec[] {
  return [
    { name: `${prefix}Street`, type: 'textarea', length: 255 },
    text(`${prefix}City`, 40),
    text(`${prefix}State`, 80),
    text(`${prefix}PostalCode`, 20),
    text(`${prefix}Country`, 80),
    { name: `${prefix}Latitude`, type: 'double', precision: 18, scale: 15 },
    { name: `${prefix}Longitude`, type: 'double', precision: 18, scale: 15 },
    { name: `${prefix}Address`, type: 'address', ...readOnly, addressPrefix: prefix },
  ];
}

const merged = (object: string): FieldSpec =>
  ref('MasterRecordId', object, { ...readOnly, relationshipName: 'MasterRecord', onParentDelete: 'keep' });

const sources = ['Web', 'Phone Inquiry', 'Partner Referral', 'Purchased List', 'Other'];
const salutations = ['Mr.', 'Ms.', 'Mrs.', 'Dr.', 'Prof.', 'Mx.'];

const account: StandardObject = {
  name: 'Account',
  label: 'Account',
  labelPlural: 'Accounts',
  keyPrefix: '001',
  mergeable: true,
  fields: [
    merged('Account'),
    text('Name', 255, { label: 'Account Name', nillable: false, nameField: true }),
    pick('Type', ['Prospect', 'Customer - Direct', 'Customer - Channel', 'Channel Partner / Reseller', 'Other']),
    ref('ParentId', 'Account', { childName: 'ChildAccounts' }),
    ...address('Billing'),
    ...address('Shipping'),
    phone('Phone'),
    phone('Fax'),
    text('AccountNumber', 40),
    { name: 'Website', type: 'url' },
    text('Sic', 20),
    pick('Industry', [
      'Agriculture',
      'Banking',
      'Consulting',
      'Education',
      'Electronics',
      'Retail',
      'Technology',
      'Other',
    ]),
    money('AnnualRevenue', { scale: 0 }),
    { name: 'NumberOfEmployees', type: 'int', precision: 8 },
    area('Description'),
    pick('Rating', ['Hot', 'Warm', 'Cold']),
    text('Site', 80),
    pick('AccountSource', sources),
    owner,
  ],
};

const contact: StandardObject = {
  name: 'Contact',
  label: 'Contact',
  labelPlural: 'Contacts',
  keyPrefix: '003',
  mergeable: true,
  fields: [
    merged('Contact'),
    ref('AccountId', 'Account', { childName: 'Contacts', onParentDelete: 'cascade' }),
    text('LastName', 80, { nillable: false }),
    text('FirstName', 40),
    pick('Salutation', salutations, { length: 40 }),
    text('Name', 121, { ...readOnly, label: 'Full Name', nillable: false, nameField: true, calculated: false }),
    ...address('Mailing'),
    ...address('Other'),
    phone('Phone'),
    phone('Fax'),
    phone('MobilePhone'),
    phone('HomePhone'),
    phone('OtherPhone'),
    phone('AssistantPhone'),
    ref('ReportsToId', 'Contact', { relationshipName: 'ReportsTo' }),
    { name: 'Email', type: 'email', idLookup: true },
    text('Title', 128),
    text('Department', 80),
    text('AssistantName', 40),
    pick('LeadSource', sources),
    day('Birthdate'),
    area('Description'),
    owner,
    flag('HasOptedOutOfEmail'),
    flag('HasOptedOutOfFax'),
    flag('DoNotCall'),
  ],
};

const product: StandardObject = {
  name: 'Product2',
  label: 'Product',
  labelPlural: 'Products',
  keyPrefix: '01t',
  fields: [
    text('Name', 255, { label: 'Product Name', nillable: false, nameField: true }),
    text('ProductCode', 255),
    area('Description', 4000),
    flag('IsActive', { label: 'Active' }),
    pick('Family', ['Furniture', 'Office Supplies', 'Technology', 'None']),
    text('ExternalId', 255),
    { name: 'DisplayUrl', type: 'url', length: 1000 },
    pick('QuantityUnitOfMeasure', ['Each']),
    flag('IsArchived', { ...readOnly }),
    text('StockKeepingUnit', 180, { label: 'Product SKU' }),
  ],
};

const pricebook: StandardObject = {
  name: 'Pricebook2',
  label: 'Price Book',
  labelPlural: 'Price Books',
  keyPrefix: '01s',
  fields: [
    text('Name', 255, { label: 'Price Book Name', nillable: false, nameField: true }),
    flag('IsActive', { label: 'Active' }),
    flag('IsArchived', { ...readOnly }),
    text('Description', 255),
    flag('IsStandard', { label: 'Is Standard Price Book', ...readOnly }),
  ],
};

const pricebookEntry: StandardObject = {
  name: 'PricebookEntry',
  label: 'Price Book Entry',
  labelPlural: 'Price Book Entries',
  keyPrefix: '01u',
  undeletable: true,
  fields: [
    text('Name', 255, { ...readOnly, label: 'Product Name', nameField: true }),
    ref('Pricebook2Id', 'Pricebook2', {
      ...fixed,
      nillable: false,
      childName: 'PricebookEntries',
      onParentDelete: 'cascade',
      relationshipName: 'Pricebook2',
    }),
    ref('Product2Id', 'Product2', {
      ...fixed,
      nillable: false,
      childName: 'PricebookEntries',
      onParentDelete: 'cascade',
      relationshipName: 'Product2',
    }),
    money('UnitPrice', { label: 'List Price', nillable: false }),
    flag('IsActive', { label: 'Active' }),
    flag('UseStandardPrice'),
    text('ProductCode', 255, { ...readOnly }),
    flag('IsArchived', { ...readOnly }),
  ],
};

const order: StandardObject = {
  name: 'Order',
  label: 'Order',
  labelPlural: 'Orders',
  keyPrefix: '801',
  fields: [
    owner,
    ref('AccountId', 'Account', { childName: 'Orders', onParentDelete: 'restrict', needed: true }),
    ref('Pricebook2Id', 'Pricebook2', {
      childName: 'Orders',
      onParentDelete: 'restrict',
      relationshipName: 'Pricebook2',
    }),
    ref('OriginalOrderId', 'Order', { ...fixed, relationshipName: 'OriginalOrder' }),
    day('EffectiveDate', { label: 'Order Start Date', nillable: false }),
    day('EndDate', { label: 'Order End Date' }),
    flag('IsReductionOrder', { ...fixed }),
    pick('Status', ['Draft', 'Activated'], { nillable: false, restrictedPicklist: true }),
    area('Description'),
    ref('CustomerAuthorizedById', 'Contact', { relationshipName: 'CustomerAuthorizedBy' }),
    pick('Type', ['New', 'Renewal', 'Web'], { label: 'Order Type' }),
    ...address('Billing'),
    ...address('Shipping'),
    text('Name', 80, { label: 'Order Name' }),
    day('PoDate', { label: 'PO Date' }),
    text('PoNumber', 80, { label: 'PO Number' }),
    text('OrderReferenceNumber', 80),
    ref('BillToContactId', 'Contact', { relationshipName: 'BillToContact' }),
    ref('ShipToContactId', 'Contact', { relationshipName: 'ShipToContact' }),
    moment('ActivatedDate', { ...readOnly }),
    ref('ActivatedById', 'User', { ...readOnly, relationshipName: 'ActivatedBy', onParentDelete: 'keep' }),
    pick('StatusCode', ['Draft', 'Activated'], { ...readOnly, nillable: false, defaultedOnCreate: true }),
    text('OrderNumber', 30, {
      ...readOnly,
      nillable: false,
      autoNumber: true,
      nameField: true,
      defaultedOnCreate: true,
    }),
    money('TotalAmount', { label: 'Order Amount', ...readOnly, nillable: false, calculated: true, defaultValue: 0 }),
  ],
};

const orderItem: StandardObject = {
  name: 'OrderItem',
  label: 'Order Product',
  labelPlural: 'Order Products',
  keyPrefix: '802',
  fields: [
    ref('Product2Id', 'Product2', { ...fixed, onParentDelete: 'restrict', relationshipName: 'Product2' }),
    ref('OrderId', 'Order', { ...fixed, nillable: false, childName: 'OrderItems', onParentDelete: 'cascade' }),
    ref('PricebookEntryId', 'PricebookEntry', {
      ...fixed,
      nillable: false,
      childName: 'OrderItems',
      onParentDelete: 'restrict',
    }),
    { name: 'AvailableQuantity', type: 'double', precision: 18, scale: 2, ...readOnly },
    { name: 'Quantity', type: 'double', precision: 18, scale: 2, nillable: false },
    money('UnitPrice', { needed: true }),
    money('ListPrice', { ...readOnly }),
    money('TotalPrice', { ...readOnly }),
    day('ServiceDate', { label: 'Start Date' }),
    day('EndDate'),
    text('Description', 255, { label: 'Line Description' }),
    text('OrderItemNumber', 30, {
      ...readOnly,
      label: 'Order Product Number',
      nillable: false,
      autoNumber: true,
      nameField: true,
      defaultedOnCreate: true,
    }),
  ],
};

const user: StandardObject = {
  name: 'User',
  label: 'User',
  labelPlural: 'Users',
  keyPrefix: '005',
  deletable: false,
  undeletable: false,
  fields: [
    text('Username', 80, { nillable: false, unique: true, idLookup: true }),
    text('LastName', 80, { nillable: false }),
    text('FirstName', 40),
    text('Name', 121, { ...readOnly, label: 'Full Name', nillable: false, nameField: true }),
    { name: 'Email', type: 'email', length: 128, nillable: false },
    text('Alias', 8, { nillable: false }),
    flag('IsActive', { label: 'Active' }),
    pick('UserType', ['Standard'], { ...readOnly, nillable: false, defaultedOnCreate: true, defaultValue: 'Standard' }),
    pick('TimeZoneSidKey', ['Etc/UTC'], { nillable: false, defaultValue: 'Etc/UTC', defaultedOnCreate: true }),
  ],
};

const organization: StandardObject = {
  name: 'Organization',
  label: 'Organization',
  labelPlural: 'Organizations',
  keyPrefix: '00D',
  createable: false,
  deletable: false,
  undeletable: false,
  fields: [
    text('Name', 80, { ...readOnly, nillable: false, nameField: true }),
    text('OrganizationType', 40, { ...readOnly }),
    text('InstanceName', 5, { ...readOnly }),
    flag('IsSandbox', { ...readOnly }),
    text('NamespacePrefix', 15, { ...readOnly }),
    text('DefaultLocaleSidKey', 40, { ...readOnly }),
    text('TimeZoneSidKey', 40, { ...readOnly }),
    text('LanguageLocaleKey', 40, { ...readOnly }),
  ],
};

export const standardObjects: readonly StandardObject[] = [
  organization,
  user,
  account,
  contact,
  product,
  pricebook,
  pricebookEntry,
  order,
  orderItem,
];

const hubKey: FieldSpec = {
  name: 'Truespoke_Id__c',
  label: 'Truespoke Id',
  length: 64,
  externalId: true,
  unique: true,
};

/** What an administrator adds before the engine connects. */
export const defaultCustomFields: Readonly<Record<string, readonly FieldSpec[]>> = {
  Account: [hubKey],
  Contact: [
    hubKey,
    pick('Tier__c', ['Free', 'Professional', 'Enterprise'], { label: 'Tier', restrictedPicklist: true }),
  ],
  Product2: [hubKey],
  Pricebook2: [hubKey],
  PricebookEntry: [hubKey],
  Order: [hubKey],
  OrderItem: [hubKey],
};
