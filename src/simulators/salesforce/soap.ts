// Owns the small part of the SOAP partner API that has no REST twin or that old clients log in with: login, logout, undelete,
// merge, emptyRecycleBin, getServerTimestamp. Reads the flat requests that clients send; it is no XML parser.
import type { Reply } from '../faults.js';
import type { App } from './app.js';
import { ApiError } from './errors.js';
import { normaliseId } from './ids.js';
import { stampOf } from './stamps.js';
import type { Transaction } from './transaction.js';
import type { Actor, ObjectDef } from './words.js';

export async function soap(app: App, body: string, requestId: string): Promise<Reply> {
  const inner = /<(?:\w+:)?Body[^>]*>\s*([\s\S]*)<\/(?:\w+:)?Body>/.exec(body)?.[1] ?? '';
  const method = /^<(?:\w+:)?(\w+)/.exec(inner)?.[1] ?? '';
  try {
    if (method === 'login') return login(app, inner);
    const token = text(body, 'sessionId') ?? '';
    const session = app.auth.session(`Bearer ${token}`);
    app.limits.spend();
    const actor: Actor = {
      userId: session.userId,
      name: session.username,
      route: `soap ${method}`,
      requestId,
      client: null,
      apiVersion: null,
      allowDuplicates: false,
    };
    return await invoke(app, method, inner, token, actor);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return fault(error.errorCode, error.message);
  }
}

function login(app: App, inner: string): Reply {
  const token = app.auth.openSession(text(inner, 'username') ?? '', text(inner, 'password') ?? '');
  const userId = app.org.userNamed(text(inner, 'username') ?? '');
  if (token === null || userId === undefined) {
    return fault('INVALID_LOGIN', 'INVALID_LOGIN: Invalid username, password, security token; or user locked out.');
  }
  const base = app.auth.baseUrl();
  const server = `${base}/services/Soap/u/60.0/${app.org.orgId}`;
  return envelope(
    'loginResponse',
    `<result><metadataServerUrl>${server}</metadataServerUrl><passwordExpired>false</passwordExpired><sandbox>false</sandbox>` +
      `<serverUrl>${server}</serverUrl><sessionId>${escape(token)}</sessionId><userId>${userId}</userId>` +
      `<userInfo><organizationId>${app.org.orgId}</organizationId><userId>${userId}</userId></userInfo></result>`,
  );
}

async function invoke(app: App, method: string, inner: string, token: string, actor: Actor): Promise<Reply> {
  switch (method) {
    case 'logout':
      app.auth.revoke(new URLSearchParams({ token }));
      return envelope('logoutResponse', '');
    case 'getServerTimestamp':
      return envelope(
        'getServerTimestampResponse',
        `<result><timestamp>${stampOf(app.clock.now()).replace('+0000', 'Z')}</timestamp></result>`,
      );
    case 'undelete':
    case 'emptyRecycleBin': {
      const results = await eachId(app, texts(inner, 'ids'), actor, (tx, object, id) => {
        if (method === 'undelete') tx.undelete(object, id);
        else if (tx.org.store.table(object.name).get(id)?.['IsDeleted'] === true) tx.purge(object, id);
        else throw new ApiError('INVALID_ID_FIELD', 'entity is not in the recycle bin');
      });
      return envelope(`${method}Response`, results);
    }
    case 'merge':
      return merge(app, inner, actor);
    default:
      return fault('UNKNOWN_EXCEPTION', `UNKNOWN_EXCEPTION: ${method} is not simulated`);
  }
}

async function merge(app: App, inner: string, actor: Actor): Promise<Reply> {
  const tx = app.org.transaction(actor);
  const master = normaliseId(/<(?:\w+:)?masterRecord[\s\S]*?<(?:\w+:)?Id>([^<]+)</.exec(inner)?.[1] ?? '') ?? '';
  const losers = texts(inner, 'recordToMergeIds').map((id) => normaliseId(id) ?? '');
  const object = app.org.catalogue.ofId(master);
  if (object === undefined) throw new ApiError('MALFORMED_ID', 'malformed id in masterRecord');
  tx.attempt(() => tx.merge(object, master, losers));
  await tx.commit();
  const merged = losers.map((id) => `<mergedRecordIds>${id}</mergedRecordIds>`).join('');
  return envelope('mergeResponse', `<result><id>${master}</id>${merged}<success>true</success></result>`);
}

async function eachId(
  app: App,
  ids: readonly string[],
  actor: Actor,
  one: (tx: Transaction, object: ObjectDef, id: string) => void,
): Promise<string> {
  const tx = app.org.transaction(actor);
  const results = ids.map((raw) => {
    const id = normaliseId(raw);
    const object = id === null ? undefined : app.org.catalogue.ofId(id);
    try {
      if (id === null || object === undefined) throw new ApiError('MALFORMED_ID', `malformed id ${raw}`);
      tx.attempt(() => one(tx, object, id));
      return `<result><id>${id}</id><success>true</success></result>`;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const detail = `<message>${escape(error.message)}</message><statusCode>${error.errorCode}</statusCode>`;
      return `<result><errors>${detail}</errors><id>${escape(raw)}</id><success>false</success></result>`;
    }
  });
  await tx.commit();
  return results.join('');
}

function texts(xml: string, name: string): readonly string[] {
  return [...xml.matchAll(new RegExp(`<(?:\\w+:)?${name}(?:\\s[^>]*)?>([^<]*)<`, 'g'))].map((match) =>
    unescape(match[1] ?? ''),
  );
}

const text = (xml: string, name: string): string | undefined => texts(xml, name)[0];

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescape(value: string): string {
  return value.replace(/&(\w+);/g, (all, name: string) => entities[name] ?? all).trim();
}

function escape(value: string): string {
  return value.replace(/[&<>]/g, (char) => (char === '&' ? '&amp;' : char === '<' ? '&lt;' : '&gt;'));
}

function envelope(name: string, content: string): Reply {
  const body = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com" xmlns:sf="urn:sobject.partner.soap.sforce.com"><soapenv:Body><${name}>${content}</${name}></soapenv:Body></soapenv:Envelope>`;
  return { status: 200, headers: { 'content-type': 'text/xml; charset=utf-8' }, body };
}

function fault(code: string, message: string): Reply {
  const body = `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body><soapenv:Fault><faultcode>sf:${code}</faultcode><faultstring>${escape(message)}</faultstring></soapenv:Fault></soapenv:Body></soapenv:Envelope>`;
  return { status: 500, headers: { 'content-type': 'text/xml; charset=utf-8' }, body };
}
