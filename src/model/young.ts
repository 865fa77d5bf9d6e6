// How long a record counts as young. Reads by id may lag so far behind what was seen or written that a record which has just come to be is
// not there yet, however often one looks (F102).
export const youngMs = 5_000;
