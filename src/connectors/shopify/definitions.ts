// Owns the place of the hub id in Shopify: a metafield definition whose values are unique, one an owner type.
// Promises that no create is sent before its definition is there: without it a repeated create makes a second record.
import { SpokePaused } from '../../base/errors.js';
import type { CallOptions } from '../connector.js';
import type { Api } from './api.js';
import { defineDocument, definitionDocument } from './documents.js';
import { asObject } from './json.js';
import type { ObjectSpec } from './objects/spec.js';
import { nodesOf } from './record.js';
import { toUserErrors } from './user-errors.js';

export class Definitions {
  private readonly ensured = new Map<string, Promise<void>>();

  constructor(private readonly api: Api) {}

  /** Looked at once a process and owner type; a failed look is repeated. */
  ensure(spec: ObjectSpec, options: CallOptions): Promise<void> {
    const present = this.ensured.get(spec.ownerType);
    if (present !== undefined) return present;
    const made = this.make(spec, options).catch((error: unknown) => {
      this.ensured.delete(spec.ownerType);
      throw error;
    });
    this.ensured.set(spec.ownerType, made);
    return made;
  }

  private async make(spec: ObjectSpec, options: CallOptions): Promise<void> {
    if (await this.isThere(spec, options)) return;
    const definition = {
      ...this.api.config.hubKey,
      name: 'Hub record',
      description: 'The id of this record in the hub. Kept by the integration; please do not edit.',
      ownerType: spec.ownerType,
      // Values of type `id` are unique by nature, which is what makes a create repeatable.
      type: 'id',
    };
    const data = await this.api.read(defineDocument(), { definition }, options);
    const errors = toUserErrors(asObject(data['metafieldDefinitionCreate']));
    if (errors.length === 0) return;
    // TAKEN: another process made it in the same moment.
    if (errors.every((error) => error.code === 'TAKEN') && (await this.isThere(spec, options))) return;
    throw this.refused(spec, errors.map((error) => error.message).join('; '));
  }

  private async isThere(spec: ObjectSpec, options: CallOptions): Promise<boolean> {
    const variables = { owner: spec.ownerType, ...this.api.config.hubKey };
    const data = await this.api.read(definitionDocument(), variables, options);
    const found = nodesOf(asObject(data['metafieldDefinitions']))[0];
    if (found === undefined) return false;
    const unique = asObject(asObject(found['capabilities'])?.['uniqueValues'])?.['enabled'];
    if (unique === true) return true;
    throw this.refused(spec, 'it exists, but its values need not be unique');
  }

  private refused(spec: ObjectSpec, reason: string): SpokePaused {
    const { spoke } = this.api.deps;
    const { namespace, key } = this.api.config.hubKey;
    return new SpokePaused({
      spoke,
      code: 'hub_key_unusable',
      message: `${spoke}: the metafield ${namespace}.${key} of ${spec.name} cannot keep hub ids: ${reason}`,
      hint: 'remove that definition in Shopify, or set hubKey.namespace and hubKey.key to another place',
    });
  }
}
