// Owns ORDER BY. Pure.
import type { OrderByClause } from '@jetstreamapp/soql-parser-js';
import { must } from '../../base/assert.js';
import type { Scope } from './soql-where.js';
import type { Row, Value } from './words.js';

/** Nulls first unless told otherwise; text without case, ids with it. Stable. */
export function sortRows(rows: readonly Row[], order: readonly OrderByClause[], scope: Scope): readonly Row[] {
  if (order.length === 0) return rows;
  const keys = order.map((clause) => {
    const operand =
      'fn' in clause ? scope.aggregate(must(clause.fn.rawValue, 'function text')) : scope.operand(clause.field);
    const fold = operand.type !== 'id' && operand.type !== 'reference';
    const get = (row: Row): Value => {
      const value = operand.get(row);
      return fold && typeof value === 'string' ? value.toLowerCase() : value;
    };
    return { get, sign: clause.order === 'DESC' ? -1 : 1, nulls: clause.nulls === 'LAST' ? 1 : -1 };
  });
  return [...rows].sort((a, b) => {
    for (const { get, sign, nulls } of keys) {
      const x = get(a);
      const y = get(b);
      if (x === y) continue;
      if (x === null) return nulls;
      if (y === null) return -nulls;
      return (x < y ? -1 : 1) * sign;
    }
    return 0;
  });
}
