// Owns reading the `userErrors` of a mutation's payload. They come with HTTP 200 and without GraphQL errors.
import type { UserError } from './errors.js';
import { asArray, asObject, asText } from './json.js';
import type { JsonObject } from './objects/spec.js';

export function toUserErrors(payload: JsonObject | null): readonly UserError[] {
  return asArray(payload?.['userErrors']).map((value) => {
    const error = asObject(value) ?? {};
    return {
      field: asArray(error['field']).map(String),
      message: asText(error['message']) ?? 'refused without a message',
      code: asText(error['code']) ?? '',
    };
  });
}
