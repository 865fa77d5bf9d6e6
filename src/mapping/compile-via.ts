// Owns the step from a `via:` in YAML to lens stages, with the checks that need the field: types, paths, countries, zones.
import { didYouMean } from '../base/suggest.js';
import type { LensField, Stage } from './lens.js';
import type { FieldMappingSpec, ViaStep } from './schema.js';
import * as stages from './stages.js';

export type Report = (message: string, hint: string) => void;
type Via = Exclude<FieldMappingSpec, string>['via'];

/** Stages from the spoke's end to the hub's. Problems go to `report`; the result is then not used. */
export function compileVia(via: Via, field: LensField, pathCount: number, report: Report): readonly Stage[] {
  const steps: readonly ViaStep[] = via === undefined ? [] : Array.isArray(via) ? via : [via];
  const compiled = steps.map((step) => stageOf(step, field, pathCount, report));
  const last = compiled.at(-1);
  if (last !== undefined && !last.types.includes(field.type)) {
    report(
      `the lens '${last.name}' yields ${last.types.join(' or ')}, but the field is of type ${field.type}`,
      'change the type of the field or the lens',
    );
  }
  for (const stage of compiled.slice(1)) {
    if (stage.paths === 'many')
      report(`'${stage.name}' must be the first step of \`via\``, 'it is the one that sees the remote paths');
  }
  for (const stage of compiled.slice(0, -1)) {
    if (!stage.types.includes('text'))
      report(`'${stage.name}' can only be the last step of \`via\``, 'what it yields is not text');
  }
  if (pathCount > 1 && compiled[0]?.paths !== 'many') {
    report(
      'several remote paths need a lens that joins them',
      'use via: { join: { separator: " " } }, or `in` and `out`',
    );
  }
  if (pathCount === 1 && compiled[0]?.paths === 'many')
    report("'join' needs several remote paths", 'write remote: [a, b]');
  return compiled;
}

function stageOf(step: ViaStep, field: LensField, pathCount: number, report: Report): Stage {
  if (typeof step === 'string') return namedStage(step, pathCount);
  if (step['phone-e164'] !== undefined) {
    const { country } = step['phone-e164'];
    if (country !== undefined && !stages.isCountry(country))
      report(`'${country}' is not a country code`, 'two capital letters of ISO 3166, such as US');
    return stages.phoneE164(step['phone-e164']);
  }
  if (step.values !== undefined) {
    checkValues(step.values, field, report);
    return stages.valuesMap(step.values);
  }
  if (step.decimal !== undefined) return stages.decimal(step.decimal);
  for (const kind of ['date', 'timestamp'] as const) {
    const options = step[kind];
    if (options === undefined) continue;
    if (options.zone !== undefined && !stages.isZone(options.zone))
      report(`'${options.zone}' is not a time zone`, 'UTC, or a name such as Europe/Berlin');
    return kind === 'date' ? stages.date(options) : stages.timestamp(options);
  }
  if (step.tags !== undefined) return stages.tags(step.tags);
  if (step['null-as'] !== undefined) return stages.nullAs(step['null-as']);
  if (step.prefix !== undefined) return stages.prefix(step.prefix);
  return stages.join({ separator: step.join?.separator ?? ' ', paths: pathCount });
}

function namedStage(name: Extract<ViaStep, string>, pathCount: number): Stage {
  switch (name) {
    case 'text':
      return stages.plain();
    case 'trim':
      return stages.trim();
    case 'lowercase':
      return stages.lowercase();
    case 'uppercase':
      return stages.uppercase();
    case 'blank-as-null':
      return stages.blankAsNull();
    case 'phone-e164':
      return stages.phoneE164({});
    case 'decimal':
      return stages.decimal({});
    case 'date':
      return stages.date({});
    case 'timestamp':
      return stages.timestamp({});
    case 'tags':
      return stages.tags({});
    case 'strip-html':
      return stages.stripHtml();
    case 'join':
      return stages.join({ separator: ' ', paths: pathCount });
    default:
      return name satisfies never;
  }
}

/** Each remote word leads to one hub word, and hub words are ones that the field can hold. */
function checkValues(table: NonNullable<Exclude<ViaStep, string>['values']>, field: LensField, report: Report): void {
  const seen = new Map<string, string>();
  for (const [hub, remote] of Object.entries(table)) {
    for (const word of Array.isArray(remote) ? remote : [remote]) {
      const other = seen.get(String(word));
      if (other !== undefined)
        report(
          `the remote value '${String(word)}' stands for both '${other}' and '${hub}'`,
          'a remote value leads to one hub value',
        );
      seen.set(String(word), hub);
    }
    if (field.type === 'boolean' && hub !== 'true' && hub !== 'false')
      report(`'${hub}' is not a value of a boolean field`, 'the keys of `values` are true and false');
    if (field.values !== null && !field.values.includes(hub))
      report(`'${hub}' is not among the field's values`, didYouMean(hub, field.values));
  }
}
