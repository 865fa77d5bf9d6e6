// Owns userErrors: a mutation that the shop refuses. HTTP says 200 and GraphQL says no error; only this list tells.

export interface UserError {
  readonly field: readonly string[] | null;
  readonly message: string;
  readonly code: string | null;
  readonly elementIndex?: number;
}

export function userError(field: string | readonly string[] | null, message: string, code: string | null): UserError {
  return { field: typeof field === 'string' ? [field] : field, message, code };
}

/** Thrown by the write rules before anything is changed; resolvers turn it into the payload's list. */
export class Refused extends Error {
  override readonly name = 'Refused';
  constructor(readonly errors: readonly UserError[]) {
    super(errors.map((error) => error.message).join('; '));
  }
}

export function refuse(field: string | readonly string[] | null, message: string, code: string | null): never {
  throw new Refused([userError(field, message, code)]);
}

export function refuseAll(errors: readonly UserError[]): void {
  if (errors.length > 0) throw new Refused(errors);
}

/** The error for a text longer than the shop keeps, or none. */
export function tooLong(path: readonly string[], label: string, value: string | null, max = 255): readonly UserError[] {
  if (value === null || [...value].length <= max) return [];
  return [userError(path, `${label} is too long (maximum is ${String(max)} characters)`, 'TOO_LONG')];
}

/** Prefixes the field paths, e.g. with `input`. */
export function under(prefix: readonly string[], error: UserError): UserError {
  return { ...error, field: error.field === null ? null : [...prefix, ...error.field] };
}
