// Owns how the demo looks: compact lines on a terminal, the same without colour elsewhere, nothing at all where a program listens. Never decides.
import type { Io, Output } from '../io.js';
import { countText, paintFor, renderTable, type Paint } from '../render.js';
import type { Calls } from './ledgers.js';
import type { Sides } from './sides.js';
import type { Check } from './tour.js';

const labelWidth = 12;
const routesShown = 5;

export class Screen {
  private readonly paint: Paint;
  private readonly out: Output;

  /** `json`: what people would see goes to stderr, and only where a person watches that. */
  constructor(io: Io, json: boolean) {
    const silent: Output = { write: () => undefined, terminal: false, columns: 100 };
    this.out = json ? (io.err.terminal ? io.err : silent) : io.out;
    this.paint = paintFor(this.out, io.env);
  }

  strong(text: string): string {
    return this.paint.bold(text);
  }

  /** Progress goes where the rest of the screen goes. */
  progressIo(io: Io): Io {
    return { ...io, err: this.out };
  }

  line(text = ''): void {
    this.out.write(`${text}\n`);
  }

  heading(text: string): void {
    this.line();
    this.line(this.paint.bold(text));
  }

  /** A dim label, then text that is cut to the width of the terminal. */
  detail(label: string, text: string): void {
    const { dim } = this.paint;
    const room = Math.max(40, this.out.columns - labelWidth - 6);
    const lines = wrap(text, room);
    lines.forEach((part, i) => this.line(`    ${dim((i === 0 ? label : '').padEnd(labelWidth))}${part}`));
  }

  step(letter: string, title: string): void {
    this.line();
    this.line(`${this.paint.cyan(letter)}  ${this.paint.bold(title)}`);
  }

  sides(sides: Sides, fields: readonly string[]): void {
    const { dim } = this.paint;
    const cell = (side: Sides['salesforce'], field: string): string => {
      if (side === null) return dim('no record');
      return field in side ? (side[field] ?? dim('null')) : dim('–');
    };
    const heads = ['', 'hub', 'Salesforce', 'Shopify'].map((head) => ({ head }));
    const rows = fields.map((field) => [
      dim(field),
      cell(sides.hub, field),
      cell(sides.salesforce, field),
      cell(sides.shopify, field),
    ]);
    for (const text of renderTable(heads, rows, this.paint).split('\n')) this.line(`    ${text}`);
  }

  result(result: {
    readonly ok: boolean;
    readonly ms: number;
    readonly calls: Calls;
    readonly checks: readonly Check[];
  }): void {
    const { green, red, dim, bold } = this.paint;
    this.detail('calls', callsText(result.calls));
    for (const { what, expected, actual, ok } of result.checks) {
      if (!ok) this.line(`    ${red('✗')} ${what}: expected ${bold(expected)}, got ${bold(actual)}`);
    }
    const count = `${result.checks.length} check${result.checks.length === 1 ? '' : 's'}`;
    const verdict = result.ok ? green(`✓ ${msText(result.ms)}`) : red(`✗ after ${msText(result.ms)}`);
    this.line(`    ${verdict} ${dim(`· ${count} · ${countText(result.calls.total)} API calls`)}`);
  }
}

export const msText = (ms: number): string =>
  ms < 10_000 ? `${countText(Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;

/** `salesforce PATCH /composite ×2, GET /query · shopify mutation customerSet` */
export function callsText({ salesforce, shopify }: Calls): string {
  const parts = Object.entries({ salesforce, shopify }).flatMap(([system, routes]) => {
    const sorted = Object.entries(routes).sort(([, a], [, b]) => b - a);
    const shown = sorted.slice(0, routesShown).map(([route, count]) => (count === 1 ? route : `${route} ×${count}`));
    const rest = sorted.slice(routesShown).reduce((sum, [, count]) => sum + count, 0);
    if (sorted.length === 0) return [];
    return [`${system}: ${[...shown, ...(rest === 0 ? [] : [`${rest} more`])].join(', ')}`];
  });
  return parts.length === 0 ? 'none' : parts.join(' · ');
}

/** Breaks at spaces; a word longer than the room stands alone. */
function wrap(text: string, room: number): readonly string[] {
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    for (const word of paragraph.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > room) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    return [...lines, line];
  });
}
