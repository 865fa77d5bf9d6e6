// Owns the choice of a route for a path below `/services/data/vNN.0`. The first match in the list wins, so literal routes come
// before those with parameters.
import { ApiError, notFound } from './errors.js';
import type { Route } from './call.js';

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
  /** `PATCH /sobjects/Contact/:id`: the pattern with the object filled in, for counts and fault rules. */
  readonly label: string;
}

export class Router {
  private readonly routes: readonly { readonly route: Route; readonly segments: readonly string[] }[];

  constructor(
    /** The object's name as the catalogue writes it; paths may use any case. */
    private readonly canonical: (object: string) => string,
    routes: readonly Route[],
  ) {
    this.routes = routes.map((route) => ({ route, segments: route.pattern.split('/').slice(1) }));
  }

  /** Throws NOT_FOUND, or METHOD_NOT_ALLOWED when only the method is wrong. */
  match(method: string, path: string): Match {
    const parts = path.replace(/\/+$/, '').split('/').slice(1).map(decodeSegment);
    const allowed: string[] = [];
    for (const { route, segments } of this.routes) {
      const params = matchSegments(segments, parts);
      if (params === null) continue;
      if (route.method !== method) {
        allowed.push(route.method);
        continue;
      }
      const label = `${method} ${route.pattern.replace(':object', this.canonical(params['object'] ?? ':object'))}`;
      return { route, params, label };
    }
    if (allowed.length === 0) throw notFound();
    throw new ApiError(
      'METHOD_NOT_ALLOWED',
      `HTTP Method '${method}' not allowed. Allowed are ${[...new Set(allowed)].join(',')}`,
    );
  }
}

function matchSegments(segments: readonly string[], parts: readonly string[]): Record<string, string> | null {
  if (segments.length !== parts.length) return null;
  const params: Record<string, string> = {};
  for (const [i, segment] of segments.entries()) {
    const part = parts[i] ?? '';
    if (segment.startsWith(':')) {
      if (part === '') return null;
      params[segment.slice(1)] = part;
    } else if (segment.toLowerCase() !== part.toLowerCase()) return null;
  }
  return params;
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw notFound();
  }
}
