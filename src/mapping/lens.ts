// Owns the lens: a pair of pure functions between the remote values of a field and its hub value, with the losses it declares.
// Laws (property-tested): get∘put∘get = get and put∘get∘put = put. A value that cannot be carried is a BadValue, never a blank.
import type { HubValue, RemoteValue } from '../model/record.js';
import { BadValue, type FieldType, type HubField } from './mapping.js';
import { toHubText, toRemote } from './values.js';

/** One step of a `via:` chain. `get` goes towards the hub, `put` towards the spoke. */
export interface Stage {
  readonly name: string;
  /** Field types that the step can end in; absent = text. */
  readonly types: readonly FieldType[];
  /** What does not survive the round trip, in words. Empty = nothing. */
  readonly losses: readonly string[];
  /** More than one remote path: only the outermost step may take several. null = exactly one. */
  readonly paths?: 'many';
  get(value: RemoteValue): RemoteValue;
  put(value: RemoteValue): RemoteValue;
  /** Steps over several paths see them as one list. */
}

export interface Lens {
  readonly losses: readonly string[];
  get(remote: readonly RemoteValue[]): HubValue;
  put(hub: HubValue): readonly RemoteValue[];
}

export type LensField = Pick<HubField, 'type' | 'scale' | 'maxLength' | 'values'>;

const blankMeansNull = new Set<FieldType>(['integer', 'decimal', 'boolean', 'date', 'timestamp', 'ref']);
const typeLosses: Partial<Record<FieldType, string>> = {
  decimal: 'digits beyond the scale are rounded',
  timestamp: 'microseconds are cut to milliseconds on the way out',
  json: 'order and spelling of keys and numbers',
};

/** The chain from the spoke's end to the hub's; without steps, the plain conversion by the field's type. */
export function lens(field: LensField, stages: readonly Stage[]): Lens {
  const many = stages[0]?.paths === 'many';
  const typeLoss = typeLosses[field.type];
  return {
    losses: [...stages.flatMap((stage) => stage.losses), ...(typeLoss === undefined ? [] : [typeLoss])],
    get(remote) {
      let value: RemoteValue = many ? remote : (remote[0] ?? null);
      for (const stage of stages) value = stage.get(value);
      // '' says nothing that null does not say for these types; a text keeps the two apart (F111).
      if (value === '' && blankMeansNull.has(field.type)) value = null;
      return toHubText(field.type, value, field);
    },
    put(hub) {
      // An adopted column may keep more digits than the mapping says.
      const scaled = field.type === 'decimal' && field.scale !== null ? toHubText('decimal', hub, field) : hub;
      let value = toRemote(field.type, scaled);
      for (const stage of [...stages].reverse()) value = stage.put(value);
      if (!many) return [value];
      if (!Array.isArray(value))
        throw new BadValue('not_list', 'the outermost step of `via` must yield one value per path');
      return value as readonly RemoteValue[];
    },
  };
}
