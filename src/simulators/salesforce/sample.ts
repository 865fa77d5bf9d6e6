// Owns a handful of records for someone who tries things out by hand; the demo brings a whole company instead.
export const sampleOrg: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>> = {
  Account: [{ Name: 'Online Store' }, { Name: 'Analytical Engines Ltd', Phone: '(415) 555-0100' }],
  Contact: [
    { FirstName: 'Ada', LastName: 'Lovelace', Email: 'Ada@Example.com', Phone: '(415) 555-0101' },
    { FirstName: 'Charles', LastName: 'Babbage', Email: 'charles@example.com' },
  ],
  Product2: [{ Name: 'Difference Engine', StockKeepingUnit: 'DE-1', IsActive: true }],
};
