// Owns who the shop is and what it lets us do: the catalogue crossed with the granted scopes.
import { SpokePaused } from '../../base/errors.js';
import { objectName, remotePath } from '../../model/ids.js';
import type { ObjectName } from '../../model/ids.js';
import type { CallOptions, RemoteField, RemoteObject, RemoteSchema, SpokeIdentity } from '../connector.js';
import type { Api } from './api.js';
import { shopDocument } from './documents.js';
import { asArray, asObject, asText } from './json.js';
import { catalogue } from './objects/catalogue.js';
import type { ObjectSpec, PathSpec } from './objects/spec.js';

const options: CallOptions = { lane: 'interactive' };

export async function identify(api: Api): Promise<SpokeIdentity> {
  const data = await api.read(shopDocument(), {}, options);
  const shop = asObject(data['shop']);
  const [id, domain] = [asText(shop?.['id']), asText(shop?.['myshopifyDomain'])];
  const { spoke } = api.deps;
  if (id === null || domain?.toLowerCase() !== api.config.shop) {
    throw new SpokePaused({
      spoke,
      code: 'other_shop',
      message: `${spoke}: configured for ${api.config.shop}, but ${domain ?? 'another shop'} answers`,
      hint: 'correct `shop`, or the access token',
    });
  }
  return { id: `${id} ${domain}`, label: `${asText(shop?.['name']) ?? domain} (${domain})`, user: null };
}

export async function describe(api: Api, objects: readonly ObjectName[]): Promise<RemoteSchema> {
  const data = await api.read(shopDocument(), {}, options);
  const scopes = new Set(
    asArray(asObject(data['currentAppInstallation'])?.['accessScopes']).map((scope) =>
      asText(asObject(scope)?.['handle']),
    ),
  );
  const described: RemoteObject[] = [];
  const missing: ObjectName[] = [];
  for (const name of objects) {
    const spec = catalogue.get(name);
    const writes = spec !== undefined && scopes.has(spec.scopes.write);
    if (spec === undefined || !(writes || scopes.has(spec.scopes.read))) missing.push(name);
    else described.push(describeObject(spec, writes && spec.writer !== null));
  }
  return { objects: described, missing, apiVersion: api.servedVersion };
}

function describeObject(spec: ObjectSpec, writable: boolean): RemoteObject {
  const children = Object.entries(spec.children).map(
    ([name, child]) => [name, child.paths.map((path) => describePath(path, writable))] as const,
  );
  return {
    name: objectName(spec.name),
    fields: spec.paths.map((path) => describePath(path, writable)),
    children: Object.fromEntries(children),
    createable: writable,
    updateable: writable,
    deletable: writable && spec.deletable,
  };
}

function describePath(path: PathSpec, writable: boolean): RemoteField {
  return {
    path: remotePath(path.path),
    type: path.type,
    nullable: path.nullable ?? true,
    createable: writable && path.create !== undefined,
    updateable: writable && path.update !== undefined,
    ...(path.maxLength === undefined ? {} : { maxLength: path.maxLength }),
    ...(path.scale === undefined ? {} : { scale: path.scale }),
    ...(path.values === undefined ? {} : { values: path.values }),
    ...(path.references === undefined ? {} : { references: path.references.map(objectName) }),
  };
}
