// Owns the way of one API call below `/services/data/vNN.0`: route, handler, error shape. Also used by the composite routes for
// their subrequests, so a subrequest behaves exactly as a call of its own.
import type { Reply } from '../faults.js';
import type { App } from './app.js';
import type { Call } from './call.js';
import { errorReply } from './errors.js';

export type Subcall = Omit<Call, 'params'>;

/** Never rejects: a refusal is an answer. */
export async function dispatch(sub: Subcall): Promise<Reply> {
  try {
    const match = sub.app.router.match(sub.method, sub.path);
    const call: Call = { ...sub, actor: { ...sub.actor, route: match.label }, params: match.params };
    return await match.route.handle(call);
  } catch (error) {
    return errorReply(error);
  }
}

/** The route's label for counting and fault rules; the bare path when there is no such route. */
export function labelOf(app: App, method: string, path: string): string {
  try {
    return app.router.match(method, path).label;
  } catch {
    // Unknown routes are answered by dispatch; here they only need a name.
    return `${method} (unknown)`;
  }
}
