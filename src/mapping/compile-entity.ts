// Owns what can be said of one mapping file by itself: hub fields, policies, match rules, table.
import { didYouMean } from '../base/suggest.js';
import { entityName, fieldName, spokeName } from '../model/ids.js';
import type { FieldType, HubField, MatchKind, MatchRule, Policy } from './mapping.js';
import { nameProblem } from './names.js';
import type { MappingSource, Reporter } from './reporter.js';
import type { FieldSpec } from './schema.js';

const ordered: readonly FieldType[] = ['integer', 'decimal', 'date', 'timestamp'];

/** Hub fields by name. Those with problems are still there, so that one mistake does not cause ten messages. */
export function compileFields({ spec, source }: MappingSource, reporter: Reporter): ReadonlyMap<string, HubField> {
  const fields = new Map<string, HubField>();
  for (const [name, given] of Object.entries(spec.fields)) {
    const field: FieldSpec = typeof given === 'string' ? { type: given } : given;
    const report = (message: string, hint: string): void => reporter.add(source, ['fields', name], message, hint);
    const wrong = nameProblem(name, 'field');
    if (wrong !== null) reporter.add(source, ['fields', name], wrong.message, wrong.hint, { key: true });
    const type = field.type ?? (field.ref === undefined ? 'text' : 'ref');
    checkField(field, type, report);
    fields.set(name, {
      name: fieldName(name),
      type,
      scale: type === 'decimal' ? (field.scale ?? null) : null,
      maxLength: field.max ?? null,
      values: field.values ?? null,
      required: field.required ?? false,
      ref: field.ref === undefined ? null : entityName(field.ref),
      policy: policyOf(field, Object.keys(spec.spokes), report),
    });
  }
  return fields;
}

function checkField(field: FieldSpec, type: FieldType, report: (message: string, hint: string) => void): void {
  if (field.ref !== undefined && type !== 'ref')
    report(`a field with \`ref\` cannot be of type ${type}`, 'remove `type`');
  if (field.ref === undefined && type === 'ref')
    report('type ref without the entity that it points to', 'write ref: <entity>');
  if (field.scale !== undefined && type !== 'decimal')
    report(`\`scale\` belongs to decimal, not to ${type}`, 'remove it, or write type: decimal');
  if (field.max !== undefined && type !== 'text') report(`\`max\` belongs to text, not to ${type}`, 'remove it');
  if (field.values !== undefined && type !== 'text')
    report(`\`values\` belongs to text, not to ${type}`, 'remove it, or write type: text');
  if (field.match === 'case-insensitive' && type !== 'text')
    report(`case-insensitive matching needs text, not ${type}`, 'write match: exact');
  if (field.match !== undefined && (type === 'json' || type === 'list'))
    report(`records cannot be matched by a ${type}`, 'remove `match`');
  if (field.policy === 'union' && type !== 'list')
    report(`policy union belongs to list, not to ${type}`, 'choose another policy');
  if (field.policy === 'delta' && type !== 'integer' && type !== 'decimal')
    report(`policy delta belongs to numbers, not to ${type}`, 'choose another policy');
  if ((field.policy === 'max' || field.policy === 'min') && !ordered.includes(type)) {
    report(`policy ${field.policy} belongs to ${ordered.join(', ')}, not to ${type}`, 'choose another policy');
  }
}

function policyOf(
  field: FieldSpec,
  spokes: readonly string[],
  report: (message: string, hint: string) => void,
): Policy {
  if (field.authority !== undefined) {
    if (field.policy !== undefined) report('`authority` and `policy` both decide conflicts', 'keep one of the two');
    const known = ['hub', ...spokes];
    if (!known.includes(field.authority))
      report(`the authority '${field.authority}' is not a spoke of this mapping`, didYouMean(field.authority, known));
    return { kind: 'authority', of: field.authority === 'hub' ? 'hub' : spokeName(field.authority) };
  }
  return { kind: field.policy ?? 'latest' };
}

/** The entity's own list first, then single fields with `match`, each once. */
export function compileMatch(
  { spec, source }: MappingSource,
  fields: ReadonlyMap<string, HubField>,
  reporter: Reporter,
): readonly MatchRule[] {
  const rules: MatchRule[] = [];
  for (const [i, entries] of (spec.match ?? []).entries()) {
    const keys: { field: HubField['name']; kind: MatchKind }[] = [];
    for (const [j, entry] of entries.entries()) {
      const named = typeof entry === 'string' ? [[entry, ownKind(spec.fields[entry])] as const] : Object.entries(entry);
      for (const [name, kind] of named) {
        const field = fields.get(name);
        if (field === undefined)
          reporter.add(
            source,
            ['match', i, j],
            `the match rule names an unknown field '${name}'`,
            didYouMean(name, [...fields.keys()]),
          );
        else if (field.type === 'json' || field.type === 'list')
          reporter.add(source, ['match', i, j], `records cannot be matched by a ${field.type}`, 'name another field');
        else if (kind === 'case-insensitive' && field.type !== 'text')
          reporter.add(
            source,
            ['match', i, j],
            `case-insensitive matching needs text, not ${field.type}`,
            'write exact',
          );
        else keys.push({ field: field.name, kind });
      }
    }
    if (keys.length > 0) rules.push({ keys });
  }
  for (const [name, field] of fields) {
    const given = spec.fields[name];
    if (typeof given !== 'object' || given.match === undefined) continue;
    const known = rules.some((rule) => rule.keys.length === 1 && rule.keys[0]?.field === field.name);
    if (!known) rules.push({ keys: [{ field: field.name, kind: given.match }] });
  }
  return rules;
}

function ownKind(spec: MappingSource['spec']['fields'][string] | undefined): MatchKind {
  return typeof spec === 'object' ? (spec.match ?? 'exact') : 'exact';
}
