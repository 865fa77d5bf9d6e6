// Owns what the control endpoint can do beyond the common routes: rules as JSON, sessions, budget, merge, purge, deletion for
// good, hidden edits. Each action checks its own body.
import { ControlError, record } from '../control.js';
import type { App } from './app.js';
import { conditionOf, rewriteOf, type PlainCondition, type Rewriting, type Rules } from './rules.js';

type Action = (body: unknown) => unknown;

export function actionsOf(app: App): Readonly<Record<string, Action>> {
  return { ...ruleActions(app.org.rules), ...sessionActions(app), ...recordActions(app), ...eventActions(app) };
}

function ruleActions(rules: Rules): Readonly<Record<string, Action>> {
  return {
    'rules/validation': named('rules/validation', (id, object, body) => {
      const rejects = conditionOf(body['when'] as PlainCondition);
      const field = optional(body, 'field');
      rules.validations.put({
        id,
        object,
        rejects,
        message: optional(body, 'message') ?? 'Refused by a validation rule.',
        field,
      });
    }),
    'rules/trigger': named('rules/trigger', (id, object, body) => {
      const rewrite = rewriteOf(
        text(body, 'field'),
        text(body, 'rewrite') as Rewriting,
        body['argument'] as string | number | undefined,
      );
      rules.triggers.put({ id, object, rewrite });
    }),
    'rules/duplicate': named('rules/duplicate', (id, object, body) => {
      if (!Array.isArray(body['fields'])) throw new ControlError('rules/duplicate wants { fields: [] }');
      rules.duplicates.put({ id, object, fields: body['fields'].map(String) });
    }),
    'rules/lock': named('rules/lock', (id, object, body) => {
      const rule = { id, object, probability: number(body, 'probability'), times: number(body, 'times') };
      rules.locks.put(rule, number(body, 'seed'));
    }),
    'rules/late-commit': named('rules/late-commit', (id, object, body) => {
      rules.lateCommits.put({ id, object, ms: number(body, 'ms') ?? 1000, times: number(body, 'times') });
    }),
    'rules/stale-read': named('rules/stale-read', (id, object, body) => {
      rules.staleReads.put({ id, object, ms: number(body, 'ms') ?? 1000 });
    }),
    'rules/clear': () => rules.clear(),
  };
}

function sessionActions({ auth, limits }: App): Readonly<Record<string, Action>> {
  return {
    'sessions/revoke': (body) => {
      const what = body === undefined ? 'access' : optional(record(body, 'sessions/revoke'), 'what');
      auth.revokeAll(what === 'refresh' || what === 'all' ? what : 'access');
    },
    'sessions/set': (body) => {
      const given = record(body, 'sessions/set');
      const rotate = given['rotateRefreshTokens'];
      auth.set({
        tokenLifetimeMs: number(given, 'tokenLifetimeMs'),
        rotateRefreshTokens: typeof rotate === 'boolean' ? rotate : undefined,
      });
    },
    credentials: () => auth.credentials,
    limits: (body) => {
      const given = record(body, 'limits');
      limits.set({ max: number(given, 'max'), spent: number(given, 'spent') });
    },
  };
}

function recordActions({ org }: App): Readonly<Record<string, Action>> {
  return {
    merge: async (body) => {
      const given = record(body, 'merge');
      await org.merge(text(given, 'object'), text(given, 'master'), [text(given, 'loser')], optional(given, 'actor'));
    },
    purge: async (body) => {
      const given = record(body, 'purge');
      await org.purge(text(given, 'object'), text(given, 'id'), optional(given, 'actor'));
    },
    damage: (body) => {
      const given = record(body, 'damage');
      org.damage(text(given, 'object'), text(given, 'id'), record(given['fields'], 'damage fields'));
    },
  };
}

function eventActions({ events, cometd }: App): Readonly<Record<string, Action>> {
  return {
    'events/gap': (body) => {
      const given = record(body, 'events/gap');
      const ids = Array.isArray(given['ids']) ? given['ids'].map(String) : [];
      events.gap(text(given, 'object'), ids, optional(given, 'changeType') ?? 'GAP_UPDATE');
    },
    'events/expire': () => events.expire(),
    'events/mute': (body) => events.mute(record(body, 'events/mute')['muted'] === true),
    'events/drop-clients': () => cometd.dropClients(),
  };
}

function named(
  what: string,
  act: (id: string, object: string, body: Readonly<Record<string, unknown>>) => void,
): Action {
  return (body) => {
    const given = record(body, what);
    act(text(given, 'id'), text(given, 'object'), given);
  };
}

function text(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name];
  if (typeof value !== 'string' || value === '') throw new ControlError(`${name} must be a text`);
  return value;
}

function optional(body: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = body[name];
  return typeof value === 'string' ? value : undefined;
}

function number(body: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = body[name];
  return typeof value === 'number' ? value : undefined;
}
