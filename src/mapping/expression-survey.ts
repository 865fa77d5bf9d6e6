// Owns what may stand in an expression: the paths and fields that it names, the calls that are known to end soon. Pure.
import type { ASTNode } from '@marcbachmann/cel-js';
import { didYouMean } from '../base/suggest.js';
import type { FieldType } from './mapping.js';

export interface ExpressionOptions {
  /** The one variable: `remote` (paths of the spoke's object) or `hub` (fields of the entity). */
  readonly root: 'remote' | 'hub';
  /** Hub fields that may be named, with their types. Remote paths are checked later, against the live describe. */
  readonly fields?: ReadonlyMap<string, FieldType>;
  readonly want: 'bool' | 'value';
}

const loops = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);
const calls = new Set([
  ...loops,
  ...['size', 'string', 'int', 'double', 'bool', 'dyn', 'text', 'timestamp', 'duration', 'type'],
  ...[
    'startsWith',
    'endsWith',
    'contains',
    'lowerAscii',
    'upperAscii',
    'lower',
    'upper',
    'trim',
    'indexOf',
    'lastIndexOf',
  ],
  ...[
    'substring',
    'split',
    'join',
    'getDate',
    'getDayOfMonth',
    'getDayOfWeek',
    'getDayOfYear',
    'getFullYear',
    'getHours',
  ],
  ...['getMilliseconds', 'getMinutes', 'getMonth', 'getSeconds'],
]);
export interface Survey {
  readonly names: Set<string>;
  loops: number;
  problem: { message: string; hint?: string } | null;
}

export function surveyOf(ast: ASTNode, options: ExpressionOptions): Survey {
  const survey: Survey = { names: new Set(), loops: 0, problem: null };
  const refuse = (message: string, hint: string): void => {
    survey.problem ??= { message, hint };
  };
  const visit = (node: ASTNode, state: { inLoop: boolean; inJoin: boolean }): void => {
    const chain = chainOf(node, options.root);
    if (chain !== null) {
      name(survey, chain, options, refuse);
      return;
    }
    let inner = state;
    if (node.op === 'call' || node.op === 'rcall') {
      const called = node.args[0];
      if (called === 'has')
        refuse('has() always answers true here, because an absent value is null', `write ${options.root}.x != null`);
      else if (!calls.has(called)) refuse(`${called}() is not available in mappings`, replacement(called));
      if (loops.has(called)) {
        survey.loops += 1;
        if (survey.loops > 1)
          refuse(
            'only one of all, exists, exists_one, map and filter may stand in an expression',
            'use a lens (via:) instead',
          );
        inner = { ...state, inLoop: true };
      }
      if (called === 'join') {
        if (state.inJoin) refuse('a join() inside a join() is not allowed', 'use a lens (via:) instead');
        inner = { ...state, inJoin: true };
      }
    }
    for (const child of childrenOf(node)) visit(child, inner);
  };
  visit(ast, { inLoop: false, inJoin: false });
  const clash = [...survey.names].find((a) => [...survey.names].some((b) => b.startsWith(`${a}.`)));
  if (clash !== undefined)
    refuse(`${options.root}.${clash} is used both as a value and as a parent of others`, 'name one of the two');
  return survey;
}

function replacement(called: string): string {
  if (called === 'matches')
    return 'a regular expression can take for ever: use startsWith, endsWith, contains, or a lens (via:)';
  return didYouMean(called, [...calls]);
}

function name(
  survey: Survey,
  chain: readonly string[],
  options: ExpressionOptions,
  refuse: (m: string, h: string) => void,
): void {
  const [first] = chain;
  if (first === undefined) {
    refuse(`'${options.root}' alone is not a value`, `name what is needed: ${options.root}.x`);
    return;
  }
  if (options.root === 'remote') {
    survey.names.add(chain.join('.'));
    return;
  }
  if (options.fields !== undefined && !options.fields.has(first)) {
    refuse(`hub.${first} cannot be used here`, didYouMean(first, [...options.fields.keys()]));
  }
  survey.names.add(first);
}

/** `remote.a.b` → ['a', 'b']; `remote['a']` likewise; null for anything else. */
function chainOf(node: ASTNode, root: string): readonly string[] | null {
  if (node.op === 'id') return node.args === root ? [] : null;
  if (node.op === '.') {
    const above = chainOf(node.args[0], root);
    return above === null ? null : [...above, node.args[1]];
  }
  if (node.op === '[]') {
    const [target, index] = node.args;
    const above = chainOf(target, root);
    return above !== null && index.op === 'value' && typeof index.args === 'string' ? [...above, index.args] : null;
  }
  return null;
}

function childrenOf(node: ASTNode): readonly ASTNode[] {
  const found: ASTNode[] = [];
  const collect = (part: unknown): void => {
    if (Array.isArray(part)) part.forEach(collect);
    else if (typeof part === 'object' && part !== null && 'op' in part) found.push(part as ASTNode);
  };
  collect(node.args);
  return found;
}
