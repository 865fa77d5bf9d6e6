// Owns the HTTP port. One request is one attempt: a total deadline, a body bound, no redirects, no hidden retries.
// A failure says whether the request can have had an effect: `sent: false` is safe to repeat, `sent: true` is unknown.

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  /** Whole exchange, connect to last body byte. */
  readonly deadlineMs: number;
  readonly bodyBytesMax?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names; repeated headers joined with ', '. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface Http {
  /** Rejects with HttpFailure only. Any status resolves. */
  request(request: HttpRequest): Promise<HttpResponse>;
}

export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  constructor(
    message: string,
    /** False only when it is certain that no byte of the request reached the remote (connect refused, DNS). */
    readonly sent: boolean,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}
