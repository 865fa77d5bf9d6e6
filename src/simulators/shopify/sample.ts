// Owns a handful of records for someone who tries things out by hand: one of the people is also in the Salesforce sample.
export const sampleShop: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  Customer: [
    { firstName: 'Ada', lastName: 'Lovelace', email: 'ada@example.com' },
    { firstName: 'Grace', lastName: 'Hopper', email: 'grace@example.com', phone: '+14155550102' },
  ],
};
