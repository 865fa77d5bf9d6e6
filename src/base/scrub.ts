// Owns the last net under secrets: a text in which none of them stands any more, however it was written into it. Whoever builds a message
// leaves them out in the first place; this is for what others (a remote, a library) put into theirs.

const mask = '[hidden]';
/** Shorter texts are words, not secrets: masking them would make every message unreadable. */
const secretCharactersMin = 4;

/** Replaces every secret, also as it looks inside JSON or a URL. */
export function scrubber(secrets: readonly string[]): (text: string) => string {
  const forms = new Set(
    secrets
      .filter((secret) => secret.length >= secretCharactersMin)
      .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]),
  );
  // The longest first: a secret may be part of another one.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((left, form) => (left.includes(form) ? left.replaceAll(form, mask) : left), text);
}
