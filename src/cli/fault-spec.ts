// Owns the short way to write a fault on the command line: `kind[=value][@probability][:route]`, e.g. `status=503@0.1:PATCH`.
import { ConfigError } from '../base/errors.js';
import { didYouMean } from '../base/suggest.js';
import { faultKinds, type FaultKind, type FaultRule } from '../simulators/faults.js';

const shape = /^([a-z-]+)(?:=(\d+))?(?:@(\d*\.?\d+))?(?::(.+))?$/;

/** The value is a status for `status`, milliseconds for `delay`, `late-apply` and `slow-body`. Throws ConfigError. */
export function parseFault(text: string, index: number, seed: number): FaultRule {
  const [, kind, value, probability, route] = shape.exec(text) ?? [];
  const hint = 'Write kind[=value][@probability][:route], such as status=503@0.1 or lost-response@0.05:POST.';
  if (kind === undefined) throw new ConfigError({ code: 'bad_fault', message: `'${text}' is not a fault`, hint });
  if (!isKind(kind)) {
    throw new ConfigError({
      code: 'bad_fault',
      message: `'${kind}' is not a kind of fault`,
      hint: didYouMean(kind, faultKinds),
    });
  }
  const share = probability === undefined ? 1 : Number(probability);
  if (share > 1) throw new ConfigError({ code: 'bad_fault', message: `'${text}': a probability is at most 1`, hint });
  const number = value === undefined ? {} : kind === 'status' ? { status: Number(value) } : { ms: Number(value) };
  // Each rule draws from its own sequence, so adding one does not move the others.
  return { id: `fault-${index + 1}`, kind, route: route ?? '.', probability: share, seed: seed + index, ...number };
}

function isKind(text: string): text is FaultKind {
  return (faultKinds as readonly string[]).includes(text);
}
