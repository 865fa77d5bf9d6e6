// Owns the describe answers: the catalogue in the shape of the real API. Pure.
import type { Catalogue } from './catalogue.js';
import type { FieldDef, ObjectDef } from './words.js';

const soapTypes: Readonly<Record<string, string>> = {
  id: 'tns:ID',
  reference: 'tns:ID',
  boolean: 'xsd:boolean',
  int: 'xsd:int',
  double: 'xsd:double',
  currency: 'xsd:double',
  percent: 'xsd:double',
  date: 'xsd:date',
  datetime: 'xsd:dateTime',
  address: 'urn:address',
};

function describeField(field: FieldDef): object {
  const { name, label, type, length, precision, scale, nillable, createable, updateable, unique, custom } = field;
  const numeric = ['double', 'currency', 'percent'].includes(type);
  return {
    aggregatable: type !== 'address' && type !== 'textarea',
    aiPredictionField: false,
    autoNumber: field.autoNumber,
    byteLength: length * (type === 'id' || type === 'reference' ? 1 : 3),
    calculated: field.calculated,
    calculatedFormula: null,
    cascadeDelete: field.onParentDelete === 'cascade' && type === 'reference',
    caseSensitive: field.caseSensitive,
    compoundFieldName: null,
    controllerName: null,
    createable,
    custom,
    defaultValue: type === 'boolean' ? field.defaultValue : null,
    defaultValueFormula: null,
    defaultedOnCreate: field.defaultedOnCreate,
    dependentPicklist: false,
    deprecatedAndHidden: false,
    digits: type === 'int' ? precision : 0,
    displayLocationInDecimal: false,
    encrypted: false,
    externalId: field.externalId,
    extraTypeInfo: null,
    filterable: type !== 'address' && !(type === 'textarea' && length > 255),
    filteredLookupInfo: null,
    formulaTreatNullNumberAsZero: false,
    groupable: !numeric && type !== 'datetime' && type !== 'textarea',
    highScaleNumber: false,
    htmlFormatted: false,
    idLookup: field.idLookup,
    inlineHelpText: null,
    label,
    length,
    mask: null,
    maskType: null,
    name,
    nameField: field.nameField,
    namePointing: false,
    nillable,
    permissionable: nillable && custom,
    picklistValues: field.picklist.map((value) => ({
      active: true,
      defaultValue: false,
      label: value,
      validFor: null,
      value,
    })),
    polymorphicForeignKey: false,
    precision: numeric ? precision : 0,
    queryByDistance: false,
    referenceTargetField: null,
    referenceTo: field.referenceTo,
    relationshipName: field.relationshipName,
    relationshipOrder: null,
    restrictedDelete: field.onParentDelete === 'restrict' && type === 'reference',
    restrictedPicklist: field.restrictedPicklist,
    scale: numeric ? scale : 0,
    searchPrefilterable: false,
    soapType: soapTypes[type] ?? 'xsd:string',
    sortable: type !== 'address' && !(type === 'textarea' && length > 255),
    type,
    unique,
    updateable,
    writeRequiresMasterRead: false,
  };
}

function summary(object: ObjectDef, version: string): Record<string, unknown> {
  const base = `/services/data/v${version}/sobjects/${object.name}`;
  const { createable, deletable, mergeable, undeletable, keyPrefix, label, labelPlural, name } = object;
  return {
    activateable: false,
    associateEntityType: null,
    associateParentEntity: null,
    createable,
    custom: name.endsWith('__c'),
    customSetting: false,
    deepCloneable: false,
    deletable,
    deprecatedAndHidden: false,
    feedEnabled: true,
    hasSubtypes: false,
    isInterface: false,
    isSubtype: false,
    keyPrefix,
    label,
    labelPlural,
    layoutable: true,
    mergeable,
    mruEnabled: true,
    name,
    queryable: true,
    replicateable: true,
    retrieveable: true,
    searchable: true,
    triggerable: true,
    undeletable,
    updateable: createable || name === 'Organization',
    urls: { rowTemplate: `${base}/{ID}`, describe: `${base}/describe`, sobject: base },
  };
}

export function describeGlobal(catalogue: Catalogue, version: string): object {
  return {
    encoding: 'UTF-8',
    maxBatchSize: 200,
    sobjects: catalogue.objects().map((object) => summary(object, version)),
  };
}

export function describeObject(catalogue: Catalogue, object: ObjectDef, version: string): object {
  const childRelationships = catalogue.children(object.name).map((relation) => ({
    cascadeDelete: relation.field.onParentDelete === 'cascade',
    childSObject: relation.child,
    deprecatedAndHidden: false,
    field: relation.field.name,
    junctionIdListNames: [],
    junctionReferenceTo: [],
    relationshipName: relation.childName === '' ? null : relation.childName,
    restrictedDelete: relation.field.onParentDelete === 'restrict',
  }));
  return {
    actionOverrides: [],
    childRelationships,
    compactLayoutable: true,
    defaultImplementation: null,
    extendedBy: null,
    extendsInterfaces: null,
    fields: object.fields.map(describeField),
    implementedBy: null,
    implementsInterfaces: null,
    listviewable: null,
    lookupLayoutable: null,
    namedLayoutInfos: [],
    networkScopeFieldName: null,
    recordTypeInfos: [],
    searchLayoutable: true,
    sobjectDescribeOption: 'FULL',
    supportedScopes: [{ label: 'All', name: 'everything' }],
    ...summary(object, version),
  };
}
